"""Which content codings can we write?  gzip always; br and zstd with their packages.

The only module that imports ``brotli`` and ``zstandard`` (extra ``compress``).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from ...errors import ConfigError

_missing = set()

try:
    import brotli
except ImportError:
    _missing.add("br")

try:
    import zstandard
except ImportError:
    _missing.add("zstd")

__all__ = ["CODINGS", "Coder", "Coding", "checked_codings"]

# Many responses may be open at once, so what one keeps back is bounded:
# 512 KiB (as a power of two) is where longer memory stops paying for text.
_WINDOW = 19

# zlib's sign for "with the header of gzip, and its largest window".
_GZIP = 31


class Coder(NamedTuple):
    """One content being encoded: ``write`` it, ``flush`` what is kept back, ``end``."""

    write: Callable[[bytes | memoryview], bytes]
    flush: Callable[[], bytes]
    end: Callable[[], bytes]


class Coding(NamedTuple):
    """A content coding; ``make(level, size)`` begins one content.

    ``size`` is the number of bytes to come, or -1.
    """

    name: str
    levels: range
    level: int  # a server has other work too
    make: Callable[[int, int], Coder]


def _gzip(level: int, size: int) -> Coder:
    made = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    return Coder(made.compress, partial(made.flush, zlib.Z_SYNC_FLUSH), made.flush)


def _brotli(level: int, size: int) -> Coder:
    made = brotli.Compressor(quality=level, lgwin=_WINDOW)
    return Coder(made.process, made.flush, made.finish)


def _zstd(level: int, size: int) -> Coder:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=max(size, 0), window_log=_WINDOW
    )
    made = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size)
    flush = partial(made.flush, zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    return Coder(made.compress, flush, made.flush)


# In the order of our liking: of what a client likes equally, the first is taken.
CODINGS: Mapping[str, Coding] = {
    coding.name: coding
    for coding in (
        Coding("zstd", range(1, 20), 3, _zstd),
        Coding("br", range(12), 4, _brotli),
        Coding("gzip", range(1, 10), 5, _gzip),
    )
}


def checked_codings(names: Sequence[str] | None, levels: Mapping[str, int]) -> list[Coding]:
    """Return codings by name with these levels; None for all that are installed."""
    known = ", ".join(CODINGS)
    for name in [*(names or ()), *levels]:
        if name not in CODINGS:
            raise ConfigError(f"Compress: there is no coding {name!r}; there are {known}")
    for name in names or ():
        if name in _missing:
            raise ConfigError(f"Compress: {name} needs a package: pip install tidegate[compress]")
    for name, level in levels.items():
        allowed = CODINGS[name].levels
        if level not in allowed:
            raise ConfigError(
                f"Compress: levels: {name} goes from {allowed[0]} to {allowed[-1]}, not {level!r}"
            )
    chosen = names if names is not None else [n for n in CODINGS if n not in _missing]
    return [CODINGS[name]._replace(level=levels.get(name, CODINGS[name].level)) for name in chosen]
