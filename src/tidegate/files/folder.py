"""Which file of a folder does a path name?  Never one outside of the folder.

A path is one of names, each of them in the folder before it.  A name that would
lead elsewhere (``..``, an absolute one, a symbolic link out of the folder) is a
file that does not exist.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ..http import weights

__all__ = ["Folder", "Found"]

# Content coding and the end of the name of a file in it, the best first.
_CODINGS = ((b"zstd", ".zst"), (b"br", ".br"), (b"gzip", ".gz"))


class Found(NamedTuple):
    """A file, or that the slash at the end of the path of a folder is missing."""

    path: str  # of the file to send; empty if the slash is missing
    name: str = ""  # of the file it stands for, which has the type
    status: int = 200
    coding: bytes = b""  # empty if it is the file itself


class Folder:
    """Looks for files; for a thread, since a disk may be slow.

    With ``index`` a folder is its ``index.html``, with ``missing`` the file of that
    name is what is not there.  With ``precompressed``, ``a.js.br``, ``a.js.zst`` and
    ``a.js.gz`` stand for ``a.js``.  Without ``hidden`` names that begin with a dot
    are not there.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        index: bool = True,
        missing: str = "",
        precompressed: bool = True,
        hidden: bool = False,
    ) -> None:
        self.directory = os.path.realpath(directory)
        self.index = index
        self.missing = missing
        self.precompressed = precompressed
        self.hidden = hidden

    def find(self, path: str, accepted: bytes | None) -> Found | None:
        """Return what a decoded path, ``/a/b`` or ``/a/``, names; None if that is nothing.

        ``/`` is the folder itself, and so is nothing at all, without its slash.
        ``accepted`` is the Accept-Encoding of the client.
        """
        weighed = weights(accepted or b"") if self.precompressed else {}
        names = path.split("/")[1:]
        is_folder = path.endswith("/")
        if is_folder:
            del names[-1]
        full = None if any(map(self._is_foreign, names)) else self._inside(*names)
        if full is None:
            return self._missing(weighed)
        if os.path.isdir(full):
            index = self._inside(*names, "index.html") if self.index else None
            if index is None or not os.path.isfile(index):
                return self._missing(weighed)
            return self._variant(index, 200, weighed) if is_folder else Found("")
        if is_folder or not os.path.isfile(full):
            return self._missing(weighed)
        return self._variant(full, 200, weighed)

    def _missing(self, weighed: dict[bytes, float]) -> Found | None:
        page = self._inside(self.missing) if self.missing else None
        if page is None or not os.path.isfile(page):
            return None
        return self._variant(page, 404, weighed)

    def _inside(self, *names: str) -> str | None:
        """Return where a path leads, None if that is outside of the folder."""
        try:
            real = os.path.realpath(os.path.join(self.directory, *names))
        except OSError:
            return None  # too long, or a loop
        return real if self._holds(real) else None

    def _holds(self, real: str) -> bool:
        return real == self.directory or real.startswith(self.directory.rstrip(os.sep) + os.sep)

    def _is_foreign(self, name: str) -> bool:
        """Say whether a name is no name here, or means more than a name on some system."""
        if name in ("", ".", "..") or (name.startswith(".") and not self.hidden):
            return True
        return "\0" in name or "\\" in name or bool(os.path.splitdrive(name)[0])

    def _variant(self, path: str, status: int, weighed: dict[bytes, float]) -> Found:
        """Return the file in the coding that the client likes best."""
        anything = weighed.get(b"*", 0.0)
        best, heaviest = Found(path, path, status), weighed.get(b"identity", 0.0)
        for coding, suffix in _CODINGS:
            weight = weighed.get(coding, anything)
            if weight > heaviest or (weight == heaviest > 0 and not best.coding):
                there = os.path.realpath(path + suffix)
                if self._holds(there) and os.path.isfile(there):
                    best, heaviest = Found(there, path, status, coding), weight
        return best
