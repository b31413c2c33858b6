"""Sessions: the dictionary, the cookie and the stores."""

from __future__ import annotations

import base64
import importlib.util
import sys
from http.cookies import SimpleCookie

import itsdangerous
import pytest

from tidegate.errors import AppError, ConfigError, UsageError
from tidegate.web.middleware import MemorySessions, Sessions, SignedCookies, signed_cookies
from tidegate.web.middleware.sessions import Session

from .driver import ask, page, shake

OLD, NEW = "o" * 32, "n" * 32


class Browser:
    """Asks, and keeps the cookie."""

    def __init__(self, wrap):
        self.wrap = wrap
        self.cookie = None
        self.answer = None

    async def __call__(self, use):
        """Let ``use`` have the session of one request; return what it returns."""
        kept = []

        async def app(scope, receive, send):
            kept.append(use(scope["session"]))
            await page(b"ok")(scope, receive, send)

        headers = {"cookie": f"session={self.cookie}"} if self.cookie else {}
        self.answer = await ask(self.wrap(app), headers=headers)
        self.keep(self.answer["set-cookie"])
        return kept[0]

    def keep(self, text):
        if text is not None:
            morsel = SimpleCookie(text)["session"]
            self.cookie = None if morsel["max-age"] == "0" else morsel.value

    @property
    def told(self):
        return self.answer["set-cookie"]


STORES = {"memory": MemorySessions, "signed": lambda: SignedCookies(NEW)}


@pytest.fixture(params=STORES)
def store(request):
    return STORES[request.param]()


@pytest.fixture
def browser(store):
    return Browser(Sessions(store))


async def test_what_is_put_in_is_there_next_time(browser):
    await browser(lambda session: session.update(user="ann", cart=[1]))
    assert await browser(dict) == {"user": "ann", "cart": [1]}
    other = Browser(browser.wrap)
    assert await other(dict) == {}


async def test_the_cookie_is_careful(browser):
    await browser(lambda session: session.update(a=1))
    words = {word.lower() for word in browser.told.split("; ")[1:]}
    assert words == {"httponly", "max-age=1209600", "path=/", "samesite=lax", "secure"}


@pytest.mark.parametrize("size", range(5))
async def test_the_cookie_need_not_be_quoted(browser, size):
    await browser(lambda session: session.update(a="x" * size))
    assert '"' not in browser.told
    assert await browser(dict) == {"a": "x" * size}


async def test_a_session_that_nobody_looks_at_costs_no_cookie(browser):
    await browser(lambda session: None)
    assert (browser.told, browser.answer["vary"]) == (None, None)
    await browser(lambda session: session.update(a=1))
    await browser(lambda session: None)
    assert (browser.told, browser.answer["vary"]) == (None, None)


async def test_a_session_that_is_only_read_makes_the_response_depend_on_the_cookie(browser):
    await browser(lambda session: session.get("a"))
    assert (browser.told, browser.answer["vary"]) == (None, "Cookie")


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session["cart"].append(2),
        lambda session: session["deep"]["er"].update(a=1),
        lambda session: session.pop("cart"),
        lambda session: session.setdefault("new", 1),
        lambda session: session.update(cart=None),
        lambda session: session.__delitem__("deep"),
    ],
)
async def test_every_change_is_noticed_deep_inside_too(browser, change):
    await browser(lambda session: session.update(cart=[1], deep={"er": {}}))
    await browser(change)
    assert browser.told is not None
    kept = {"cart": [1], "deep": {"er": {}}}
    change(kept)
    assert await browser(dict) == kept


async def test_setting_what_is_there_already_is_no_change(browser):
    await browser(lambda session: session.update(a=1))
    await browser(lambda session: session.update(a=1))
    assert browser.told is None


async def test_an_emptied_session_is_removed(browser):
    await browser(lambda session: session.update(a=1))
    before = browser.cookie
    await browser(lambda session: session.clear())
    assert "Max-Age=0" in browser.told
    assert browser.cookie is None
    if isinstance(browser.wrap.store, MemorySessions):
        browser.cookie = before
        assert await browser(dict) == {}


async def test_an_empty_session_is_not_kept(browser):
    await browser(lambda session: session.clear())
    assert browser.told is None
    await browser(lambda session: session.rotate())
    assert browser.told is None


async def test_rolling_counts_from_the_last_use(store):
    browser = Browser(Sessions(store, rolling=True))
    await browser(lambda session: session.update(a=1))
    await browser(lambda session: session["a"])
    assert "Max-Age=1209600" in browser.told
    await browser(lambda session: None)
    assert browser.told is None


async def test_the_settings_of_the_cookie_reach_it(store):
    wrap = Sessions(
        store, max_age=60, cookie="sid", path="/a", domain="us.example", secure=False,
        same_site="strict",
    )  # fmt: skip

    async def app(scope, receive, send):
        scope["session"]["a"] = 1
        await page()(scope, receive, send)

    words = {word.lower() for word in ((await ask(wrap(app)))["set-cookie"] or "").split("; ")[1:]}
    assert words == {
        *("domain=us.example", "httponly", "max-age=60", "path=/a", "samesite=strict"),
    }


@pytest.mark.parametrize("token", ["x", "a.b.c", "\u00e9", "....", '"\\303"'])
async def test_a_cookie_that_is_not_ours_is_an_empty_session(browser, token):
    browser.cookie = token
    assert await browser(dict) == {}
    await browser(lambda session: session.update(a=1))
    assert browser.cookie not in (None, token)


async def test_changes_after_the_response_has_begun_are_refused(store):
    errors = []

    async def app(scope, receive, send):
        session = scope["session"]
        session["a"] = 1
        await send({"type": "http.response.start", "status": 200})
        for change in (
            lambda: session.update(b=2),
            lambda: session.clear(),
            lambda: session.rotate(),
        ):
            with pytest.raises(UsageError, match="begun") as caught:
                change()
            errors.append(caught.value)
        assert session["a"] == 1
        await send({"type": "http.response.body"})

    await ask(Sessions(store)(app))
    assert len(errors) == 3


async def test_what_json_cannot_hold_is_an_error_of_the_application(browser):
    with pytest.raises(TypeError):
        await browser(lambda session: session.update(a=object()))


async def test_a_socket_reads_its_session_and_changes_it_before_it_is_accepted(browser):
    await browser(lambda session: session.update(user="ann"))
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["session"]["user"])
        scope["session"]["seen"] = True
        await page()(scope, receive, send)

    headers = {"cookie": f"session={browser.cookie}"}
    (accept,) = await shake(browser.wrap(app), headers=headers)
    assert seen == ["ann"]
    browser.keep(dict(accept["headers"])[b"set-cookie"].decode())
    assert await browser(dict) == {"user": "ann", "seen": True}


def test_a_session_does_not_show_its_content():
    session = Session(b'{"password":"a"}')
    assert repr(session) == "<Session of 1>"
    assert not session.changed
    assert len(session) == 1


# In the memory.


async def test_a_rotated_session_goes_on_under_another_token():
    browser = Browser(Sessions(MemorySessions()))
    await browser(lambda session: session.update(a=1))
    before = browser.cookie

    def log_in(session):
        session.rotate()
        session["user"] = "ann"

    await browser(log_in)
    assert browser.cookie != before
    assert await browser(dict) == {"a": 1, "user": "ann"}
    browser.cookie = before
    assert await browser(dict) == {}


async def test_a_token_that_a_client_chose_is_never_used():
    browser = Browser(Sessions(MemorySessions()))
    browser.cookie = "chosen"
    await browser(lambda session: session.update(a=1))
    assert browser.cookie != "chosen"
    assert len(browser.cookie) >= 43


async def test_a_token_that_ended_meanwhile_is_not_used_again():
    store = MemorySessions()
    token = await store.save(None, b"{}", 60)
    await store.delete(token)
    await store.delete(token)
    assert await store.save(token, b"{}", 60) != token


async def test_sessions_in_the_memory_end():
    now = [0.0]
    store = MemorySessions(clock=lambda: now[0])
    browser = Browser(Sessions(store, max_age=60))
    await browser(lambda session: session.update(a=1))
    now[0] = 59.9
    assert await browser(dict) == {"a": 1}
    now[0] = 60.0
    assert await browser(dict) == {}
    assert len(store) == 0


async def test_the_memory_is_bounded_and_keeps_those_used_last():
    store = MemorySessions(2)
    browsers = [Browser(Sessions(store)) for _ in range(3)]
    await browsers[0](lambda session: session.update(a=0))
    await browsers[1](lambda session: session.update(a=1))
    await browsers[0](dict)
    await browsers[2](lambda session: session.update(a=2))
    assert len(store) == 2
    assert [await browser(dict) for browser in browsers] == [{"a": 0}, {}, {"a": 2}]


async def test_sessions_in_the_memory_share_no_objects():
    browser = Browser(Sessions(MemorySessions()))
    cart = [1]
    await browser(lambda session: session.update(cart=cart))
    cart.append(2)
    assert await browser(dict) == {"cart": [1]}


# In the cookie.


async def test_a_signed_session_can_be_read_but_not_changed():
    browser = Browser(Sessions(SignedCookies(NEW)))
    await browser(lambda session: session.update(admin=False))
    content, rest = browser.cookie.split(".", 1)
    assert base64.urlsafe_b64decode(content + "==") == b'{"admin":false}'
    forged = base64.urlsafe_b64encode(b'{"admin":true}').decode()
    browser.cookie = f"{forged}.{rest}"
    assert await browser(dict) == {}


async def test_keys_can_be_replaced():
    browser = Browser(Sessions(SignedCookies(OLD)))
    await browser(lambda session: session.update(a=1))
    browser.wrap = Sessions(SignedCookies([NEW, OLD]))
    assert await browser(dict) == {"a": 1}
    await browser(lambda session: session.update(a=2))
    browser.wrap = Sessions(SignedCookies(NEW))
    assert await browser(dict) == {"a": 2}
    browser.wrap = Sessions(SignedCookies(OLD))
    assert await browser(dict) == {}


async def test_a_signed_session_ends(monkeypatch):
    browser = Browser(Sessions(SignedCookies(NEW), max_age=60))
    await browser(lambda session: session.update(a=1))
    later = itsdangerous.TimestampSigner("a").get_timestamp() + 61
    monkeypatch.setattr(itsdangerous.TimestampSigner, "get_timestamp", lambda self: later)
    assert await browser(dict) == {}


async def test_what_another_signer_signed_with_the_same_secret_is_not_ours():
    browser = Browser(Sessions(SignedCookies(NEW)))
    content = base64.urlsafe_b64encode(b'{"a":1}')
    browser.cookie = itsdangerous.TimestampSigner(NEW).sign(content).decode()
    assert await browser(dict) == {}


async def test_a_cookie_that_browsers_would_not_keep_is_an_error_of_the_application():
    browser = Browser(Sessions(SignedCookies(NEW)))
    await browser(lambda session: session.update(a="x" * 2800))
    assert len(browser.told) <= 4096
    with pytest.raises(AppError, match=r"has \d+ bytes, and browsers keep 4096"):
        await browser(lambda session: session.update(a="x" * 3000))


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "itsdangerous", None)
    spec = importlib.util.spec_from_file_location(signed_cookies.__name__, signed_cookies.__file__)
    without = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(without)
    with pytest.raises(ConfigError, match=r"pip install tidegate\[sessions\]"):
        without.SignedCookies(NEW)
