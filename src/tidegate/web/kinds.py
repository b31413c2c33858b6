"""What kind of thing is a type: a scalar, a list of scalars, a structure, or unknown?

The parameter rule of the framework rests on this and on nothing else, so that
where a value comes from never depends on what happens to be sent.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import sys
import types
import typing
import uuid
from typing import Any, Literal, TypeAlias

import msgspec

__all__ = ["Kind", "alternatives", "is_model", "kind_of", "models_in", "structures_in"]

Kind: TypeAlias = Literal["scalar", "list", "structure", "unknown"]

_SCALARS = (
    *(str, bytes, int, float, bool, decimal.Decimal, uuid.UUID, enum.Enum, type(None)),
    *(datetime.date, datetime.time, datetime.datetime, datetime.timedelta),
)
_LISTS = (list, set, frozenset, tuple)
_UNIONS = (typing.Union, types.UnionType)


def alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself; without ``Annotated``."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return alternatives(typing.get_args(hint)[0])
    if origin in _UNIONS:
        return tuple(one for arg in typing.get_args(hint) for one in alternatives(arg))
    if isinstance(hint, typing.NewType):
        return alternatives(hint.__supertype__)
    return (hint,)


def kind_of(hint: Any) -> Kind:
    """Say what a type is; a union is what all its members are, None aside."""
    kinds = {_kind(one) for one in alternatives(hint) if one not in (None, type(None))}
    if len(kinds) == 1:
        return kinds.pop()
    return "unknown" if kinds else "scalar"


def _kind(hint: Any) -> Kind:
    origin = typing.get_origin(hint)
    if origin is Literal:
        return "scalar"
    plain = origin or hint
    if not inspect.isclass(plain):
        return "unknown"
    if _is_structure(plain):
        return "structure"
    if issubclass(plain, _LISTS):
        inner = [arg for arg in typing.get_args(hint) if arg is not Ellipsis]
        kinds = {kind_of(arg) for arg in inner}
        if "unknown" in kinds:
            return "unknown"
        return "list" if kinds <= {"scalar"} else "structure"
    if issubclass(plain, dict):
        return "structure"
    return "scalar" if issubclass(plain, _SCALARS) else "unknown"


def _is_structure(plain: type) -> bool:
    return (
        issubclass(plain, msgspec.Struct)
        or dataclasses.is_dataclass(plain)
        or hasattr(plain, "__attrs_attrs__")
        or typing.is_typeddict(plain)
        or (issubclass(plain, tuple) and hasattr(plain, "_fields"))
        or is_model(plain)
    )


def is_model(plain: Any) -> bool:
    """Say whether this is a pydantic model or dataclass; pydantic need not be installed."""
    return "pydantic" in sys.modules and hasattr(plain, "__pydantic_core_schema__")


def _parts(hint: Any) -> typing.Iterator[Any]:
    """Yield the classes that a type is made of, itself included; not those of fields."""
    origin = typing.get_origin(hint)
    if origin is None or inspect.isclass(origin):
        yield origin or hint
    for arg in typing.get_args(hint):
        if arg is not Ellipsis and not isinstance(arg, str | int | bytes):
            yield from _parts(arg)


def models_in(hint: Any) -> bool:
    """Say whether pydantic models stand in this type."""
    return any(is_model(part) for part in _parts(hint))


def structures_in(hint: Any) -> bool:
    """Say whether msgspec structs stand in this type."""
    return any(inspect.isclass(p) and issubclass(p, msgspec.Struct) for p in _parts(hint))
