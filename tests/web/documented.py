"""Loads the applications whose documents are judged."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

from tidegate import App

__all__ = ["ROOT", "application"]

ROOT = Path(__file__).parent.parent.parent
PLACES = {
    "demo": ROOT / "examples",
    "shop": ROOT / "examples",
    "every_kind": Path(__file__).parent / "applications",
}


def application(name: str) -> App:
    place = str(PLACES[name])
    sys.path.insert(0, place)
    try:
        with warnings.catch_warnings():
            # Of a structure with a model in it, that it is slower.
            warnings.simplefilter("ignore", UserWarning)
            app: App = importlib.import_module(name).app
            app.prepare()
    finally:
        sys.path.remove(place)
    return app
