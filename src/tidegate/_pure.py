"""Which speed is this: compiled modules, or the same files interpreted?

``TIDEGATE_PURE=1`` forces the interpreted files even where compiled ones exist.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from types import ModuleType

__all__ = ["COMPILED_MODULES", "obey", "speed"]

COMPILED_MODULES: tuple[str, ...] = (
    "tidegate.http",
    "tidegate.wire.http1.framing",
    "tidegate.wire.http1.head",
    "tidegate.wire.http1.body",
    "tidegate.wire.http1.encode",
    "tidegate.wire.http1.core",
    "tidegate.wire.websocket.frames",
    "tidegate.wire.websocket.core",
    "tidegate.exchange.launch",
    "tidegate.exchange.service",
    "tidegate.exchange.exchange",
    "tidegate.exchange.extended",
    "tidegate.exchange.http",
    "tidegate.exchange.websocket",
    "tidegate.bridge.wsgi.environ",
    "tidegate.bridge.wsgi.reply",
    "tidegate.bridge.wsgi.call",
    "tidegate.exchange.wsgi",
    "tidegate.net.connection",
    "tidegate.net.websocket",
    "tidegate.net.http1",
)
"""Modules that have a compiled twin, each with a ``.pxd`` beside its ``.py``.

docs/explanation/performance.md names the benchmark that justifies each.
"""


class SourceFirst:
    """Finds the ``.py`` of a listed module where Python itself would take the compiled twin."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module is; None leaves the question to the next finder."""
        if name not in COMPILED_MODULES or not path:
            return None
        return FileFinder(path[0], (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)


def obey() -> None:
    """Do as ``TIDEGATE_PURE`` says; must come before the import of any listed module."""
    if os.environ.get("TIDEGATE_PURE", "0") not in ("", "0") and SourceFirst not in sys.meta_path:
        sys.meta_path.insert(0, SourceFirst)


def speed() -> str:
    """Return ``"compiled"``, ``"pure"``, or which of the listed modules are not compiled."""
    pure = [name for name in COMPILED_MODULES if not _is_compiled(name)]
    if len(pure) == len(COMPILED_MODULES):
        return "pure"
    return f"partly compiled, not {', '.join(pure)}" if pure else "compiled"


def _is_compiled(name: str) -> bool:
    if name in sys.modules:
        spec = sys.modules[name].__spec__
    else:
        # To import it would take longer than any use of the answer is worth.
        folder = os.path.join(os.path.dirname(__file__), *name.split(".")[1:-1])
        finder = SourceFirst if SourceFirst in sys.meta_path else PathFinder
        spec = finder.find_spec(name, [folder])
    return spec is not None and (spec.origin or "").endswith(tuple(EXTENSION_SUFFIXES))
