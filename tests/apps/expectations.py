"""Which framework must meet which expectation: all of them all, but for this table.

A test of an expectation names it: ``@every_framework("background")``.  Adding a
line to ``CANNOT`` is the only way to leave a framework out, and the reason is
part of the line.
"""

from __future__ import annotations

import pytest

__all__ = [
    "CANNOT",
    "EXPECTATIONS",
    "FRAMEWORKS",
    "KEEPS_QUIET",
    "PRINTS_WHAT_A_VIEW_RAISES",
    "every_framework",
]

FRAMEWORKS = ("datasette", "django", "fastapi", "litestar", "quart", "starlette")

# The route that an application has if and only if it meets the expectation; None: not a route.
EXPECTATIONS: dict[str, str | None] = {
    "background": "/background/key",
    "form": "/form",
    "shutdown": None,
    "startup": None,
    "state": "/state",
    "sync": "/sync/key",
}

CANNOT: dict[tuple[str, str], str] = {
    ("datasette", "background"): "Datasette has no tasks that outlive a response",
    ("datasette", "form"): "Datasette 0.65 reads urlencoded forms only, not multipart",
    ("datasette", "shutdown"): "Datasette has a startup hook and none for shutdown",
    ("datasette", "state"): "Datasette gives its plugins no lifespan scope to write to",
    ("datasette", "sync"): "Datasette calls a plain def view on the event loop",
    ("django", "background"): "Django has no tasks that outlive a response in its own process",
    ("django", "shutdown"): "Django serves only http scopes: it raises on a lifespan",
    ("django", "startup"): "Django serves only http scopes: it raises on a lifespan",
    ("django", "state"): "Django serves only http scopes: it raises on a lifespan",
    ("litestar", "state"): "Litestar does not hand the lifespan scope to its lifespan managers",
    ("quart", "state"): "Quart does not hand the lifespan scope to its hooks",
}

# Datasette prints the traceback itself, also when the client of a stream has left.
PRINTS_WHAT_A_VIEW_RAISES = ("datasette",)

# Outside their debug mode these log nothing when a view raises, and let nothing escape.
KEEPS_QUIET = ("django", "litestar")


def every_framework(expectation: str | None = None) -> pytest.MarkDecorator:
    """Run a test with the ``site`` of each framework that can meet ``expectation``."""
    assert expectation is None or expectation in EXPECTATIONS, expectation
    able = [name for name in FRAMEWORKS if (name, expectation) not in CANNOT]
    return pytest.mark.parametrize("site", able, indirect=True)
