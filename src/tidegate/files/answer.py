"""What is a request for a file answered: all of it, parts, or that the client has it?"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from .kind import with_charset
from .ranges import Unsatisfiable, is_unchanged, is_wrong, matches_if_range, parse_ranges

__all__ = ["Answer", "Content", "Facts", "answer", "whole"]

Content: TypeAlias = list[bytes | tuple[int, int]]
"""Bytes, and parts of the file from here to there, in order."""


@dataclass(slots=True)
class Facts:
    """What an answer depends on; ``modified`` is seconds since 1970, ``size`` bytes."""

    kind: str
    size: int
    etag: str
    modified: float


@dataclass(slots=True)
class Answer:
    """Status and content, and the fields that follow from them.

    412 and 416 come without content: whoever sends them says what is wrong.
    """

    status: int
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    content: Content = field(default_factory=list)


def answer(asked: Mapping[bytes, bytes], facts: Facts) -> Answer:
    """Return the answer to GET or HEAD with these fields (RFC 9110 sections 13.2.2 and 14.2)."""
    etag, modified, size = facts.etag, facts.modified, facts.size
    if is_wrong(asked, etag, modified):
        return Answer(412)
    if is_unchanged(asked, etag, modified):
        return Answer(304)
    wanted = asked.get(b"range")
    if wanted is None or not matches_if_range(asked, etag, modified):
        return whole(facts)
    try:
        ranges = parse_ranges(wanted.decode("latin-1"), size)
    except Unsatisfiable:
        return Answer(416, [(b"content-range", b"bytes */%d" % size)])
    if not ranges:
        return whole(facts)
    if len(ranges) > 1:
        return _multipart(facts, ranges)
    ((start, end),) = ranges
    extent = (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, size))
    return Answer(206, [extent, *_type_and_length(facts.kind, end - start)], [(start, end)])


def whole(facts: Facts) -> Answer:
    """Return the answer that is all of the file."""
    return Answer(200, _type_and_length(facts.kind, facts.size), [(0, facts.size)])


def _multipart(facts: Facts, ranges: list[tuple[int, int]]) -> Answer:
    """Return several parts (RFC 9110 section 14.6)."""
    boundary = secrets.token_hex(12).encode()
    content: Content = []
    for start, end in ranges:
        line = b"\r\n--" if content else b"--"
        head = b"%b%b\r\ncontent-type: %b\r\n" % (line, boundary, facts.kind.encode("latin-1"))
        head += b"content-range: bytes %d-%d/%d\r\n\r\n" % (start, end - 1, facts.size)
        content += [head, (start, end)]
    content.append(b"\r\n--%b--\r\n" % boundary)
    length = sum(len(each) if isinstance(each, bytes) else each[1] - each[0] for each in content)
    outer = f"multipart/byteranges; boundary={boundary.decode()}"
    return Answer(206, _type_and_length(outer, length), content)


def _type_and_length(kind: str, length: int) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", with_charset(kind)), (b"content-length", b"%d" % length)]
