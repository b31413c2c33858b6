"""Which media type has a file, by its name?"""

from __future__ import annotations

import mimetypes

__all__ = ["UNKNOWN", "kind_of", "with_charset"]

UNKNOWN = "application/octet-stream"

# What systems do not agree on, or do not know.
_KINDS = {
    ".avif": "image/avif",
    ".js": "text/javascript",  # RFC 9239
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}


def kind_of(name: str) -> str:
    """Return the media type; that of something unknown for what is compressed."""
    known = _KINDS.get(name[name.rfind(".") :].lower()) if "." in name else None
    if known is not None:
        return known
    guessed, coding = mimetypes.guess_type(name)
    return guessed if guessed is not None and coding is None else UNKNOWN


def with_charset(kind: str) -> bytes:
    """Return the value of Content-Type: text is UTF-8 unless it says otherwise."""
    if kind.startswith("text/") and "charset" not in kind:
        kind += "; charset=utf-8"
    return kind.encode("latin-1")
