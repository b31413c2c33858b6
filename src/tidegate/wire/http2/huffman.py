"""The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).

The code is canonical: the lengths of its words say everything.  Decoding goes
byte by byte through a table of (node of the tree, byte), which is filled as it
is needed and can never have more than 65,536 entries.
"""

from __future__ import annotations

from ...errors import BadRequest

__all__ = ["decode", "encode"]

# Appendix B: the bits of the word for each byte; EOS, the last word, has 30.
_LENGTHS = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c"
    "060a0a0c0d06080b0a0a080b080606060505050606060606060607080f060c0a"
    "0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c"
    "1416141416161617161717171717181718181617181717171715161716171718"
    "1615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b"
    "14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a"
)
_EOS = 256

# Longer texts rarely repeat and take time: they are sent as they are.
_MAX_ENCODED_SIZE = 256


def _words() -> list[tuple[int, int]]:
    """Return for each symbol its word and the bits of that."""
    lengths = [*_LENGTHS, 30]
    words = [(0, 0)] * 257
    word = size = 0
    for symbol in sorted(range(257), key=lambda symbol: (lengths[symbol], symbol)):
        word <<= lengths[symbol] - size
        size = lengths[symbol]
        words[symbol] = (word, size)
        word += 1
    return words


_WORDS = _words()


def _tree() -> list[list[int]]:
    """Return the inner nodes: each has for 0 and for 1 a node, or ``~symbol``."""
    nodes = [[0, 0]]
    for symbol, (word, size) in enumerate(_WORDS):
        node = 0
        for shift in range(size - 1, 0, -1):
            bit = word >> shift & 1
            if not nodes[node][bit]:
                nodes.append([0, 0])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        nodes[node][word & 1] = ~symbol
    return nodes


_NODES = _tree()


def _ends() -> frozenset[int]:
    """Return the nodes where a text may end: after at most 7 bits, all ones, of EOS."""
    nodes = [0]
    for _ in range(7):
        nodes.append(_NODES[nodes[-1]][1])
    return frozenset(node << 8 for node in nodes)


_ENDS = _ends()


class _Steps(dict[int, tuple[int, bytes]]):
    """From a node (times 256) and a byte to the next node (times 256) and what is complete."""

    def __missing__(self, key: int) -> tuple[int, bytes]:
        node, byte = key >> 8, key & 0xFF
        symbols = []
        for shift in range(7, -1, -1):
            node = _NODES[node][byte >> shift & 1]
            if node < 0:
                if ~node == _EOS:
                    raise BadRequest("EOS within a Huffman-coded string")
                symbols.append(~node)
                node = 0
        self[key] = step = (node << 8, bytes(symbols))
        return step


_steps = _Steps()


def decode(data: bytes) -> bytes:
    """Return the text of a Huffman-coded string.  Raises ``BadRequest``."""
    node = 0
    pieces = []
    for byte in data:
        node, symbols = _steps[node | byte]
        pieces.append(symbols)
    if node not in _ENDS:
        raise BadRequest("a Huffman-coded string ends in more than padding")
    return b"".join(pieces)


def encode(text: bytes) -> bytes:
    """Return ``text`` coded, or as it is if that is not longer."""
    if len(text) > _MAX_ENCODED_SIZE:
        return text
    number = size = 0
    for byte in text:
        word, bits = _WORDS[byte]
        number = number << bits | word
        size += bits
    padding = -size % 8
    if size + padding >= 8 * len(text):
        return text
    number = (number << padding) | ((1 << padding) - 1)
    return number.to_bytes((size + padding) // 8, "big")
