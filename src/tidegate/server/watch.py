"""Which files have changed?  The only module that knows watchfiles.

Python files count, and what ``reload_includes`` adds; what is hidden, and what
``reload_excludes`` names, does not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import ConfigError
from .config import Config

_missing = False
try:
    import watchfiles
except ImportError:
    _missing = True

__all__ = ["Selection", "Watcher"]

# Nothing below them is the application's own source.
_NOT_OURS = ("__pycache__", "node_modules")

# Changes that never cease are reported all the same.
_LONGEST_BURST = 1600

# A large tree takes long to watch; the application need not wait for that.
_READY_SECONDS = 0.5


class Selection:
    """The folders to watch, and which files in them count."""

    def __init__(self, config: Config) -> None:
        folders = config.reload_dirs or [".", config.app_dir or "."]
        self._includes = _Names(config.reload_includes)
        self._excludes = _Names(config.reload_excludes)
        self._env_file = Path(config.env_file).resolve() if config.env_file else None
        self.folders: list[Path] = []
        for path in [*(Path(folder).resolve() for folder in folders), *self._includes.places]:
            if not any(path.is_relative_to(folder) for folder in self.folders):
                self.folders.append(path)

    def wants(self, path: str) -> bool:
        """Say whether a change of this file counts."""
        file = Path(path)
        if file == self._env_file:
            return True
        if self._excludes.cover(file):
            return False
        chosen = self._includes.cover(file)
        folder = next((each for each in self.folders if file.is_relative_to(each)), file.parent)
        names = file.relative_to(folder).parts
        # Whoever asks for .env gets it, but not what is below .venv.
        if any(map(_is_hidden, names[:-1] if chosen else names)):
            return False
        return chosen or file.suffix == ".py"


class _Names:
    """Files by patterns, such as ``*.html``, and by folders that exist."""

    def __init__(self, texts: Iterable[str]) -> None:
        texts = [text for text in texts if text]
        self.places = [Path(text).resolve() for text in texts if Path(text).exists()]
        self._patterns = [text for text in texts if not Path(text).exists()]

    def cover(self, file: Path) -> bool:
        """Say whether a file is meant."""
        return any(map(file.match, self._patterns)) or any(map(file.is_relative_to, self.places))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.endswith("~") or name in _NOT_OURS


class Watcher:
    """Calls ``on_change`` with the files that changed, in a thread of its own.

    What changes within ``reload_delay`` seconds is one call.  ``on_change``
    gets the error, once, if the folders cannot be watched.  Raises
    ``ConfigError`` if watchfiles is not installed.
    """

    def __init__(self, config: Config, on_change: Callable[[list[str] | Exception], None]) -> None:
        if _missing:
            raise ConfigError("reload needs the package watchfiles: pip install 'tidegate[reload]'")
        self.selection = Selection(config)
        self._milliseconds = max(1, round(config.reload_delay * 1000))
        self._on_change = on_change
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tidegate-watcher", daemon=True)

    def start(self) -> None:
        """Begin to watch; from here on no change is missed, in any but a huge tree."""
        self._thread.start()
        self._ready.wait(_READY_SECONDS)

    def stop(self) -> None:
        """Watch no longer."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_READY_SECONDS)

    def _run(self) -> None:
        try:
            self._watch()
        except (OSError, RuntimeError) as error:
            self._on_change(error)

    def _watch(self) -> None:
        found = watchfiles.watch(
            *self.selection.folders,
            watch_filter=lambda change, path: self.selection.wants(path),
            step=self._milliseconds,
            debounce=max(_LONGEST_BURST, self._milliseconds),
            stop_event=self._stop,
            # The first time it says that nothing has changed, it watches.
            rust_timeout=1,
            yield_on_timeout=True,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )
        for changes in found:
            self._ready.set()
            if changes:
                self._on_change(sorted({path for _, path in changes}))
