"""The shop of the README works, each route of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tidegate.testing import Client, Disconnected, HandshakeRefused, client

ROOT = Path(__file__).parent.parent.parent
SHOP = ROOT / "examples" / "shop.py"
ANN = {"authorization": "ann"}


@pytest.fixture(scope="module")
def shop() -> Iterator[ModuleType]:
    """The module, imported as its users would."""
    sys.path.insert(0, str(SHOP.parent))
    try:
        import shop

        yield shop
    finally:
        sys.path.remove(str(SHOP.parent))


@pytest.fixture
def c(shop: ModuleType) -> Iterator[Client]:
    with client(shop.app) as opened:
        yield opened


def test_the_readme_shows_the_file() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert SHOP.read_text(encoding="utf-8") in blocks


def test_its_own_test_passes(shop: ModuleType) -> None:
    shop.test_shop()


def test_the_database_is_open_while_the_shop_is(shop: ModuleType) -> None:
    before = shop.DB.open_now
    with client(shop.app):
        assert shop.DB.open_now == before + 1
    assert shop.DB.open_now == before


def test_an_item_is_created_shown_and_reported(c: Client) -> None:
    item = {"name": "Lamp", "price": 9.5, "tags": ["new"]}
    made = c.post("/items", json=item, headers=ANN)
    assert (made.status, made.json()) == (201, item)
    assert c.get("/items/0", params={"page": "2"}).json() == item
    assert c.get("/report").json() == [item]


def test_an_item_that_is_not_there_is_a_problem(c: Client) -> None:
    reply = c.get("/items/7")
    assert reply.status == 404
    assert reply.json()["detail"] == "no such 7"


def test_mail_is_sent_for_a_new_item(c: Client) -> None:
    import oldshop

    oldshop.sent.clear()
    c.post("/items", json={"name": "Lamp", "price": 1}, headers=ANN)
    assert oldshop.sent == [("ann@example.com", "Lamp")]


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/items/x", {"in": "path", "name": "id"}),
        ("/items/1?page=0", {"in": "query", "name": "page"}),
        ("/primes/10000001", {"in": "path", "name": "n"}),
    ],
)
def test_what_does_not_fit_is_refused(c: Client, path: str, where: dict[str, str]) -> None:
    reply = c.get(path)
    assert reply.status == 422
    (error,) = reply.json()["errors"]
    assert error.items() >= where.items()


def test_who_is_unknown_is_turned_away_before_the_content_is_read(c: Client) -> None:
    assert c.post("/items", json={"name": ""}).status == 401


def test_primes_are_found_in_a_process(c: Client) -> None:
    reply = c.get("/primes/30")
    assert reply.json() == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]


def test_people_in_a_room_hear_each_other(c: Client, shop: ModuleType) -> None:
    with (
        c.ws("/rooms/b", headers=ANN) as ann,
        c.ws("/rooms/b", headers={"authorization": "bob"}) as bob,
    ):
        ann.send(shop.Say("hi"))
        assert ann.receive() == bob.receive() == shop.Said("ann", "hi")
        bob.send(shop.Leave())
        with pytest.raises(Disconnected):
            bob.receive()
        assert bob.close_code == 1000


def test_strangers_are_refused_a_room(c: Client) -> None:
    with pytest.raises(HandshakeRefused) as raised, c.ws("/rooms/b"):
        pass
    assert raised.value.reply.status == 401


def test_a_room_can_be_watched(c: Client, shop: ModuleType) -> None:
    with c.ws("/rooms/c", headers=ANN) as ann, c.sse("/rooms/c/events") as events:
        ann.send(shop.Say("hi"))
        assert ann.receive() == shop.Said("ann", "hi")
        first = next(iter(events))
        assert first.json(shop.Said) == shop.Said("ann", "hi")
    with c.sse("/rooms/c/events", headers={"last-event-id": "unknown"}) as events:
        assert next(iter(events)).id == first.id


def test_the_old_shop_answers(c: Client) -> None:
    assert c.get("/old/about").text == "Since 1998"
