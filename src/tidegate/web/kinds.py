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

__all__ = [
    "UNIONS",
    "Kind",
    "alternatives",
    "is_model",
    "kind_of",
    "list_fields",
    "models_in",
    "structures_in",
]

Kind: TypeAlias = Literal["scalar", "list", "structure", "unknown"]

_SCALARS = (
    *(str, bytes, int, float, bool, decimal.Decimal, uuid.UUID, enum.Enum, type(None)),
    *(datetime.date, datetime.time, datetime.datetime, datetime.timedelta),
)
_LISTS = (list, set, frozenset, tuple)
UNIONS = (typing.Union, types.UnionType)


def alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself; without ``Annotated``."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return alternatives(typing.get_args(hint)[0])
    if origin in UNIONS:
        return tuple(one for arg in typing.get_args(hint) for one in alternatives(arg))
    if isinstance(hint, typing.NewType):
        return alternatives(hint.__supertype__)
    if type(hint).__name__ == "TypeAliasType":  # ``type X = ...`` of Python 3.12
        return alternatives(hint.__value__)
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
        values = [arg for arg in typing.get_args(hint) if arg is not Any]
        return "unknown" if "unknown" in map(kind_of, values) else "structure"
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


def list_fields(hint: Any) -> frozenset[str]:
    """Return the fields of a structure that are lists, by the names they are sent with."""
    (structure,) = (one for one in alternatives(hint) if one is not type(None))
    if is_model(structure):
        fields = getattr(structure, "model_fields", None) or structure.__pydantic_fields__
        pairs = [
            (key, field.annotation)
            for name, field in fields.items()
            for key in (name, field.alias, field.validation_alias)
            if isinstance(key, str)
        ]
    else:
        info = msgspec.inspect.type_info(structure)
        hints = typing.get_type_hints(typing.get_origin(structure) or structure)
        pairs = [(one.encode_name, hints[one.name]) for one in getattr(info, "fields", ())]
    return frozenset(name for name, one in pairs if kind_of(one) == "list")


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
