"""Which application is served, and how it is called."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ...exchange.lifespan import LifespanMode
from ..options import option

__all__ = ["ApplicationSettings"]


@dataclasses.dataclass(kw_only=True)
class ApplicationSettings:
    """The application and what surrounds it."""

    factory: bool = option(False, "The target is a function that returns the application.")
    app_dir: str = option(
        "", "Look for the module here first [default: the current folder].", path=True
    )
    interface: Literal["auto", "asgi3", "asgi2", "wsgi"] = option(
        "auto", "How to call the application; auto looks at it."
    )
    mounts: dict[str, str] = option(
        {}, "Serve another target below a path: '/old=wsgi:shop.wsgi:application'.", flag="mount"
    )
    lifespan: LifespanMode = option(
        "auto", "Startup and shutdown events: auto, on (required) or off."
    )
    env_file: str | None = option(
        None, "Read environment variables for the application from here.", path=True
    )
    root_path: str = option("", "Mount point of the application, as behind a proxy.")
    root_path_mode: Literal["strip", "keep"] = option(
        "strip", "Whether the proxy strips the root path from what it passes on, or keeps it."
    )
    reset_contextvars: bool = option(
        True, "Accepted for uvicorn's sake: every request has a fresh context."
    )
