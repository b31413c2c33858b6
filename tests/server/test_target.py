"""From ``module:attribute`` to an application, and what is said when there is none."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import quart

from tidegate.asgi import Application, Receive, Scope, Send
from tidegate.bridge.wsgi import Wsgi, WsgiSettings
from tidegate.errors import ConfigError
from tidegate.server.target import load

Write = Callable[[str, str], None]

APP = "async def app(scope, receive, send): ...\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, from which modules can be imported and are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def write(folder: Path) -> Write:
    def write(name: str, text: str) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    return write


def find(target: object, factory: bool = False, interface: str = "auto") -> Application:
    return load(target, factory=factory, interface=interface)


def complaint(target: object, **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        find(target, **settings)
    return str(caught.value)


# What is found.


def test_a_module_and_an_attribute_are_found(write: Write) -> None:
    write("found_one.py", APP)
    assert find("found_one:app").__name__ == "app"


def test_a_module_in_a_package_and_an_attribute_of_an_object_are_found(write: Write) -> None:
    write("found_package/__init__.py", "")
    write(
        "found_package/site.py", "class Site:\n    async def app(self, s, r, t): ...\nsite = Site()"
    )
    assert find("found_package.site:site.app").__name__ == "app"


def test_modules_are_looked_for_in_the_folder_of_the_application_first(
    write: Write, folder: Path
) -> None:
    write("elsewhere/found_there.py", APP)
    found = load("found_there:app", factory=False, interface="auto", app_dir="elsewhere")
    assert found.__name__ == "app"
    assert sys.path[0] == str(folder / "elsewhere")


def test_a_folder_is_put_on_the_path_once(write: Write) -> None:
    write("found_twice.py", APP)
    find("found_twice:app")
    before = sys.path.copy()
    find("found_twice:app")
    assert sys.path == before


def test_an_application_is_itself() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    assert find(app) is app


# What is not found.


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("site", "; did you mean 'site:app'?"),
        ("site:", "; did you mean 'site:app'?"),
        ("site.py", "; did you mean 'site:app'?"),
        ("folder/site.py", "; did you mean 'folder.site:app'?"),
        (":app", ""),
        ("", ""),
    ],
)
def test_a_target_needs_a_module_and_an_attribute(target: str, hint: str) -> None:
    assert complaint(target) == f"the target must be 'module:attribute', not {target!r}{hint}"


def test_a_module_that_is_not_there_is_named_with_its_neighbour(write: Write, folder: Path) -> None:
    write("neighbour.py", APP)
    text = complaint("nieghbour:app")
    assert text.startswith(f"there is no module 'nieghbour' in {folder} or on the Python path")
    assert text.endswith("; did you mean 'neighbour'?")


def test_a_module_like_no_other_is_named_without_a_guess(folder: Path) -> None:
    assert complaint("qqqqqq:app").endswith("on the Python path")


def test_a_missing_module_of_a_package_is_named(write: Write) -> None:
    write("half_package/__init__.py", "")
    assert "there is no module 'half_package.site'" in complaint("half_package.site:app")


def test_a_missing_package_is_named(folder: Path) -> None:
    assert "there is no module 'no_package'" in complaint("no_package.site:app")


def test_a_file_name_is_not_a_module(write: Write) -> None:
    write("file_name.py", APP)
    assert complaint("file_name.py:app").endswith("; leave out the '.py': 'file_name'")


@pytest.mark.parametrize("target", [".:app", ".site:app", "..site:app"])
def test_a_relative_module_is_refused(folder: Path, target: str) -> None:
    assert repr(target.partition(":")[0]) in complaint(target) or repr(target) in complaint(target)


def test_an_attribute_that_is_not_there_is_named_with_its_neighbour(write: Write) -> None:
    write("misspelt.py", APP)
    assert complaint("misspelt:ap") == ("'misspelt' has no attribute 'ap'; did you mean 'app'?")


def test_an_attribute_like_no_other_is_named_with_what_could_be_meant(write: Write) -> None:
    write("others.py", "import os\nimport typing\nX = 1\nclass C: ...\n" + APP.replace("app", "zz"))
    assert complaint("others:qqqq") == (
        "'others' has no attribute 'qqqq'; what can be called there: zz"
    )


def test_an_attribute_of_a_module_with_nothing_to_call_is_named(write: Write) -> None:
    write("nothing.py", "X = 1\n")
    assert complaint("nothing:qqqq") == "'nothing' has no attribute 'qqqq'"


def test_an_attribute_of_an_object_that_is_not_there_is_named(write: Write) -> None:
    write("deep.py", "class Site:\n    title = 1\nsite = Site()\n")
    assert complaint("deep:site.titel") == (
        "'deep:site' has no attribute 'titel'; did you mean 'title'?"
    )


def test_a_syntax_error_is_named_with_its_place(write: Write, folder: Path) -> None:
    write("broken_syntax.py", "\nx = = 1\n")
    assert complaint("broken_syntax:app") == (
        f"{folder / 'broken_syntax.py'}, line 2: invalid syntax"
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [("import no_such_dependency\n", ModuleNotFoundError), ("1 / 0\n", ZeroDivisionError)],
)
def test_what_fails_inside_the_application_is_not_our_complaint(
    write: Write, text: str, error: type[Exception]
) -> None:
    write("failing_inside.py", text)
    with pytest.raises(error):
        find("failing_inside:app")


@pytest.mark.parametrize(("value", "kind"), [(None, "NoneType"), ("text", "str"), (5, "int")])
def test_what_cannot_be_called_is_no_application(write: Write, value: object, kind: str) -> None:
    write("not_callable.py", f"app = {value!r}\n")
    assert complaint("not_callable:app") == (
        "'not_callable:app' is not an ASGI application: "
        f"it is of type {kind!r}, which cannot be called"
    )
    del sys.modules["not_callable"]


def test_an_object_that_cannot_be_called_is_no_application() -> None:
    assert complaint(5).startswith("an object of type int is not an ASGI application")


# Factories.


async def application(scope: Scope, receive: Receive, send: Send) -> None: ...


def make() -> Application:
    return application


def test_a_factory_is_called() -> None:
    assert find(make, factory=True) is application


def test_a_factory_that_nobody_announced_is_called_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "tidegate.error")
    assert find(make) is application
    assert "is a factory; say so with --factory" in caplog.text


def test_a_factory_must_be_callable() -> None:
    assert complaint(5, factory=True) == (
        "an object of type int is not callable, so it cannot be a factory"
    )


def test_a_factory_must_return_an_application() -> None:
    assert "it is of type 'NoneType', which cannot be called" in complaint(
        lambda: None, factory=True
    )


def test_what_a_factory_raises_is_not_our_complaint() -> None:
    def failing() -> Application:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        find(failing, factory=True)


# ASGI 2.


class Legacy:
    """An ASGI 2 application as they were written: a class."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        await send({"type": "seen", "scope": self.scope})


def legacy_function(scope: Scope) -> Legacy:
    return Legacy(scope)


class LegacyObject:
    def __call__(self, scope: Scope) -> Legacy:
        return Legacy(scope)


class Modern:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


def variadic(*args: Any) -> Any: ...


async def one_required(scope: Scope, receive: Any = None, send: Any = None) -> None: ...


@pytest.mark.parametrize("legacy", [Legacy, legacy_function, LegacyObject()])
@pytest.mark.parametrize("interface", ["auto", "asgi2"])
async def test_an_application_of_asgi_2_is_called_twice(legacy: Any, interface: str) -> None:
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any: ...

    await find(legacy, interface=interface)({"type": "http"}, receive, send)
    assert sent == [{"type": "seen", "scope": {"type": "http"}}]


@pytest.mark.parametrize(
    "modern",
    [
        application,
        Modern(),
        functools.partial(application),
        variadic,
        one_required,
        Modern().__call__,
        print,
        type.__call__,
    ],
)
def test_an_application_of_asgi_3_is_left_as_it_is(modern: Any) -> None:
    assert find(modern) is modern


def test_the_interface_can_be_given_when_a_look_would_mislead() -> None:
    assert find(legacy_function, interface="asgi3") is legacy_function


def test_what_nobody_can_look_into_is_taken_for_asgi_3() -> None:
    class Opaque:
        __signature__ = "none"

        def __call__(self, *args: Any) -> Any: ...

    opaque = Opaque()
    assert find(opaque) is opaque


# WSGI.


def wsgi_function(environ: Any, start_response: Any) -> list[bytes]:
    return []


class WsgiObject:
    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        return []


class WsgiClass:
    """As in PEP 3333: an instance is the iterable of one response."""

    def __init__(self, environ: Any, start_response: Any) -> None: ...

    def __iter__(self) -> Iterator[bytes]:
        return iter(())


class WsgiVariadic:
    def wsgi_app(self, environ: Any, start_response: Any) -> list[bytes]:
        return []

    def __call__(self, *args: Any) -> list[bytes]:
        return self.wsgi_app(*args)


class Both:
    """Speaks ASGI, and keeps an attribute of its WSGI days."""

    wsgi_app = asgi_app = WsgiObject()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


def synchronous(scope: Scope, receive: Receive, send: Send) -> Any: ...


async def two(scope: Scope, receive: Receive) -> None: ...


@pytest.mark.parametrize(
    "found",
    [
        wsgi_function,
        WsgiObject(),
        WsgiObject().__call__,
        WsgiClass,
        WsgiVariadic(),
        flask.Flask("shop"),
        flask.Flask("shop").wsgi_app,
        functools.partial(wsgi_function),
    ],
)
def test_a_wsgi_application_is_recognised(found: Any) -> None:
    settings = WsgiSettings(threads=3)
    made = load(found, factory=False, interface="auto", settings=settings)
    assert isinstance(made, Wsgi)
    assert (made.application, made.settings) == (found, settings)


@pytest.mark.parametrize("modern", [Both(), synchronous, two, quart.Quart("shop"), Modern()])
def test_an_asgi_application_is_never_taken_for_a_wsgi_one(modern: Any) -> None:
    assert find(modern) is modern


def test_the_interface_wsgi_can_be_given() -> None:
    made = find(variadic, interface="wsgi")
    assert isinstance(made, Wsgi)
    assert find(made, interface="wsgi") is made
    assert find(made) is made


def test_a_factory_may_return_a_wsgi_application() -> None:
    assert isinstance(find(lambda: wsgi_function, factory=True), Wsgi)


def test_django_is_told_the_length_of_content() -> None:
    # Not Django itself: once imported, it wants settings for whatever looks at its objects.
    members = {"__module__": "django.core.handlers.wsgi", "__call__": WsgiObject.__call__}
    handler = type("WSGIHandler", (), members)()
    assert find(handler).spools  # type: ignore[attr-defined]
    assert not find(wsgi_function).spools  # type: ignore[attr-defined]
