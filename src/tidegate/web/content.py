"""How is the content of a request read as a type, and what is said when it cannot be?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .codec import Codec
from .explain import Fault, pointer
from .problems import Invalid, Problem

__all__ = ["at_content", "at_name", "read_json", "read_msgpack"]


def read_json(codec: Codec, content: bytes) -> Any:
    """Return JSON content as a type.

    Raises ``Problem`` 400 if it is not JSON, ``Invalid`` if it is not the type.
    """
    return _read(codec.decode, codec.explain_json, content, "JSON")


def read_msgpack(codec: Codec, content: bytes) -> Any:
    """Return MessagePack content as a type; raises as ``read_json`` does."""
    return _read(codec.decode_msgpack, codec.explain_msgpack, content, "MessagePack")


def _read(
    decode: Callable[[bytes], Any],
    explain: Callable[[bytes, Exception], list[Fault]],
    content: bytes,
    name: str,
) -> Any:
    try:
        try:
            return decode(content)
        except ValueError as error:
            # All errors of the engines are ValueErrors.  Only those about syntax
            # come again when the content is decoded without a type.
            faults = explain(content, error)
        raise Invalid([at_content(fault) for fault in faults])
    except msgspec.DecodeError as malformed:
        raise Problem(400, f"the content is not {name}: {_reason(malformed)}") from None
    except UnicodeDecodeError:
        raise Problem(400, f"the content is not {name}: it is not UTF-8") from None
    except RecursionError:
        raise Problem(400, f"the content is not {name} we can read: nested too deep") from None


def _reason(error: Exception) -> str:
    return str(error).partition(": ")[2] or str(error)


def at_content(fault: Fault, place: str = "body") -> dict[str, str]:
    """Return one entry of a validation problem, for a place in the content."""
    steps, detail = fault
    return {"in": place, "pointer": pointer(steps), "detail": detail}


def at_name(fault: Fault, place: str, name: str) -> dict[str, str]:
    """Return one entry of a validation problem, for a parameter."""
    return {"in": place, "name": name, "detail": fault[1]}
