"""Header fields by name, whatever the case, over the pairs that ASGI carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping

from ..errors import UsageError
from ..http import field

__all__ = ["Headers", "MutableHeaders", "Pairs", "to_pairs", "vary"]

Pairs = list[tuple[bytes, bytes]]


def to_pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]] | None) -> Pairs:
    """Return checked ASGI headers: a value cannot smuggle in a second field.

    Raises ``AppError`` for what cannot be a field, ``UsageError`` for other types.
    """
    if not headers:
        return []
    listed = headers.items() if isinstance(headers, Mapping) else headers
    return [_pair(name, value) for name, value in listed]


def _pair(name: str, value: str) -> tuple[bytes, bytes]:
    try:
        checked = field(name.lower().encode("latin-1"), value.encode("latin-1"))
    except (AttributeError, UnicodeEncodeError) as error:
        raise UsageError(f"a header is a pair of latin-1 str, not {(name, value)!r}") from error
    return checked.name, checked.value


class Headers(Mapping[str, str]):
    """The fields of a message; ``headers["accept"]`` joins repeated ones with a comma."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def __getitem__(self, name: str) -> str:
        found = self.all(name)
        if not found:
            raise KeyError(name)
        return (", " if name.lower() != "cookie" else "; ").join(found)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1") for name, _ in self.pairs))

    def __len__(self) -> int:
        return len({name for name, _ in self.pairs})

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.all(name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pairs!r})"

    def all(self, name: str) -> list[str]:
        """Return the values of a field, one for each time it was sent."""
        wanted = name.lower().encode("latin-1", "replace")
        return [value.decode("latin-1") for key, value in self.pairs if key == wanted]


class MutableHeaders(Headers, MutableMapping[str, str]):
    """The fields of a response that is being made."""

    __slots__ = ()

    def __setitem__(self, name: str, value: str) -> None:
        pair = _pair(name, value)
        self.discard(name)
        self.pairs.append(pair)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self.discard(name)

    def discard(self, name: str) -> None:
        """Remove a field, if it is there."""
        wanted = name.lower().encode("latin-1", "replace")
        self.pairs[:] = [pair for pair in self.pairs if pair[0] != wanted]

    def add(self, name: str, value: str) -> None:
        """Add a field beside those of the same name."""
        self.pairs.append(_pair(name, value))

    def vary(self, name: str) -> None:
        """Say that the response depends on a request field (RFC 9110 section 12.5.5)."""
        vary(self.pairs, name.encode("latin-1"))


def vary(pairs: Pairs, name: bytes) -> Pairs:
    """Say in ``pairs`` that the response depends on a request field (RFC 9110 section 12.5.5)."""
    told = [word.strip() for key, value in pairs if _is_vary(key) for word in value.split(b",")]
    if b"*" in told or name.lower() in [word.lower() for word in told]:
        return pairs
    pairs[:] = [pair for pair in pairs if not _is_vary(pair[0])]
    pairs.append((b"vary", b", ".join([*filter(None, told), name])))
    return pairs


def _is_vary(name: bytes) -> bool:
    return name.lower() == b"vary"
