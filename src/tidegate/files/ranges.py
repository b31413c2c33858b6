"""Which part of a representation was asked for, and is it still the same? (RFC 9110, 13 and 14)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

__all__ = [
    "MAX_RANGES",
    "Unsatisfiable",
    "is_unchanged",
    "is_wrong",
    "matches_if_range",
    "parse_ranges",
]

# A multipart answer with more parts than this is never what a client wants;
# all of the file is sent instead.
MAX_RANGES = 16

_RANGE = re.compile(r"(\d{0,18})-(\d{0,18})")


class Unsatisfiable(Exception):
    """No part of the file is in the ranges asked for: 416."""


def parse_ranges(header: str, size: int) -> list[tuple[int, int]]:
    """Return the parts asked for as (start, end), end not included; [] means all of it.

    In one pass over the field; overlapping parts are joined, in the order of
    the file.  Raises ``Unsatisfiable``.
    """
    unit, equals, specs = header.partition("=")
    if not equals or unit.strip().lower() != "bytes" or specs.count(",") >= MAX_RANGES:
        return []
    found = []
    for spec in specs.split(","):
        match = _RANGE.fullmatch(spec.strip())
        if match is None or spec.strip() == "-":
            return []  # RFC 9110 section 14.2: what is not valid is ignored
        first, last = match.groups()
        if not first:
            start, end = max(0, size - int(last)), size
        else:
            start, end = int(first), min(int(last) + 1, size) if last else size
            if last and int(last) < start:
                return []
        if start < end:
            found.append((start, end))
    if not found:
        raise Unsatisfiable
    found.sort()
    joined = [found[0]]
    for start, end in found[1:]:
        if start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def is_wrong(fields: Mapping[bytes, bytes], etag: str, modified: float) -> bool:
    """Say whether this is not what the client means: 412 (RFC 9110 section 13.2.2)."""
    meant = fields.get(b"if-match")
    if meant is not None:
        tags = [tag.strip() for tag in meant.decode("latin-1").split(",")]
        # Strong comparison: what differs in a byte may be what the client minds.
        return not ("*" in tags or (etag in tags and not etag.startswith("W/")))
    since = fields.get(b"if-unmodified-since")
    return since is not None and 0 <= _seconds(since) < int(modified)


def is_unchanged(fields: Mapping[bytes, bytes], etag: str, modified: float) -> bool:
    """Say whether the client has this representation already (RFC 9110 section 13.2.2)."""
    known = fields.get(b"if-none-match")
    if known is not None:
        tags = [tag.strip().removeprefix("W/") for tag in known.decode("latin-1").split(",")]
        return "*" in tags or etag.removeprefix("W/") in tags
    since = fields.get(b"if-modified-since")
    return since is not None and _seconds(since) >= int(modified)


def matches_if_range(fields: Mapping[bytes, bytes], etag: str, modified: float) -> bool:
    """Say whether a range may be answered in parts (RFC 9110 section 13.1.5)."""
    condition = fields.get(b"if-range")
    if condition is None:
        return True
    if condition.startswith((b'"', b"W/")):
        # Strong comparison: parts of weakly equal files do not fit together.
        return condition.decode("latin-1") == etag and not etag.startswith("W/")
    return _seconds(condition) == int(modified)


def _seconds(date: bytes) -> float:
    """Return the seconds since 1970 of an HTTP date; -1 if it is none."""
    try:
        return parsedate_to_datetime(date.decode("latin-1")).timestamp()
    except (ValueError, OverflowError):
        return -1.0
