"""Who asks too often, and what everybody is told."""

from __future__ import annotations

import json

import pytest

from tidegate.web.middleware import MemoryRates, RateLimit
from tidegate.web.middleware.rate_limit import client_address
from tidegate.web.middleware.rates import Rate

from .driver import Recorder, ask, page, scope_of, shake


class Time:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Time()


async def statuses(app, count, **more):
    return [(await ask(app, **more)).status for _ in range(count)]


async def test_the_rate_holds_and_comes_back_evenly(clock):
    app = RateLimit(3, period=60, store=MemoryRates(clock=clock))(page())
    assert await statuses(app, 4) == [200, 200, 200, 429]
    clock.now += 19.9
    assert await statuses(app, 1) == [429]
    clock.now += 0.1
    assert await statuses(app, 2) == [200, 429]
    clock.now += 1000
    assert await statuses(app, 4) == [200, 200, 200, 429]


async def test_there_is_no_border_at_which_twice_the_rate_gets_through(clock):
    store = MemoryRates(clock=clock)
    rate = Rate(100, 60, 100)
    passed = []
    for _ in range(3000):
        if (await store.take("a", rate)).allowed:
            passed.append(clock.now)
        clock.now += 0.1
    for begin in passed:
        # The burst, and what came back meanwhile.
        assert sum(begin <= moment < begin + 60 for moment in passed) <= 200
    assert 500 <= len(passed) <= 601


async def test_a_burst_can_be_less_than_all(clock):
    app = RateLimit(60, period=60, burst=2, store=MemoryRates(clock=clock))(page())
    assert await statuses(app, 3) == [200, 200, 429]
    clock.now += 1
    assert await statuses(app, 2) == [200, 429]


@pytest.mark.parametrize("limit", [1, 3, 7, 100, 999])
async def test_exactly_as_many_as_allowed_get_through_at_once(limit, clock):
    store = MemoryRates(clock=clock)
    rate = Rate(limit, 60, limit)
    found = [await store.take("a", rate) for _ in range(limit + 1)]
    assert [each.remaining for each in found[:-1]] == list(range(limit - 1, -1, -1))
    assert [each.allowed for each in found] == [True] * limit + [False]
    assert found[-1].retry_after == pytest.approx(60 / limit)
    assert found[-1].reset == pytest.approx(60)


async def test_the_fields_say_what_is_left(clock):
    app = RateLimit(2, period=10, store=MemoryRates(clock=clock))(page())
    answer = await ask(app)
    assert answer["ratelimit-policy"] == '"default";q=2;w=10'
    assert answer["ratelimit"] == '"default";r=1;t=5'
    assert (await ask(app))["ratelimit"] == '"default";r=0;t=10'
    clock.now += 0.5
    answer = await ask(app)
    assert answer.status == 429
    assert answer["ratelimit"] == '"default";r=0;t=10'
    assert answer["retry-after"] == "5"
    assert answer["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["detail"] == "more than 2 requests in 10 s; wait 5 s"


async def test_nobody_is_told_to_wait_for_less_than_a_second(clock):
    app = RateLimit(1, period=0.01, store=MemoryRates(clock=clock))(page())
    await ask(app)
    assert (await ask(app))["retry-after"] == "1"


async def test_waiting_as_long_as_told_is_enough(clock):
    app = RateLimit(7, period=60, store=MemoryRates(clock=clock))(page())
    while (answer := await ask(app)).status == 200:
        pass
    clock.now += int(answer["retry-after"] or "")
    assert (await ask(app)).status == 200


async def test_a_refused_request_does_not_reach_the_application(clock):
    app = Recorder()
    await statuses(RateLimit(1, store=MemoryRates(clock=clock))(app), 3)
    assert len(app.scopes) == 1


async def test_clients_are_limited_apart():
    app = RateLimit(1)(page())
    for host in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
        assert await statuses(app, 2, client=(host, 1)) == [200, 429]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("not:an:address", "not:an:address", True),
    ],
)
def test_a_network_of_ipv6_is_one_client(one, other, same):
    keys = [client_address(scope_of("http", "/", {}, client=(host, 1))) for host in (one, other)]
    assert (keys[0] == keys[1]) is same


async def test_clients_without_an_address_share_a_limit():
    assert await statuses(RateLimit(1)(page()), 2, client=None) == [200, 429]


async def test_the_key_can_be_anything_and_none_is_not_limited():
    def key(scope):
        return dict(scope["headers"]).get(b"x-key", b"").decode() or None

    app = RateLimit(1, key=key)(page())
    assert await statuses(app, 2, headers={"x-key": "a"}) == [200, 429]
    assert await statuses(app, 2, headers={"x-key": "b"}) == [200, 429]
    assert await statuses(app, 3) == [200, 200, 200]
    assert (await ask(app))["ratelimit"] is None


async def test_limits_with_names_share_a_store_without_harm():
    store = MemoryRates()
    app = RateLimit(1, name="one", store=store)(RateLimit(2, name="two", store=store)(page()))
    answer = await ask(app)
    assert answer.all("ratelimit-policy") == ['"two";q=2;w=60', '"one";q=1;w=60']
    assert (await ask(app)).all("ratelimit-policy") == ['"one";q=1;w=60']


async def test_two_limits_do_not_share_what_they_were_not_told_to():
    assert RateLimit(1).store is not RateLimit(1).store


async def test_exempt_paths_are_not_limited():
    app = RateLimit(1, exempt=["/health"])(page())
    assert await statuses(app, 3, path="/health") == [200, 200, 200]
    assert await statuses(app, 2, path="/healthy") == [200, 429]


async def test_a_handshake_counts_and_is_denied():
    app = RateLimit(1)(page())
    assert (await shake(app))[0]["type"] == "websocket.accept"
    assert await shake(app) == [{"type": "websocket.close", "code": 1008}]
    sent = await shake(app, extensions={"websocket.http.response": {}})
    assert sent[0]["status"] == 429


async def test_the_memory_is_bounded_and_the_latest_are_remembered(clock):
    store = MemoryRates(2, clock)
    rate = Rate(1, 60, 1)
    for key in "abac":  # a is used again, so b goes
        await store.take(key, rate)
    assert len(store) == 2
    assert not (await store.take("a", rate)).allowed
    assert (await store.take("b", rate)).allowed
