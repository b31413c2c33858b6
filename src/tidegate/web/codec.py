"""How does a type become bytes, and bytes a type?  Decided once per type, at start.

msgspec is the engine for structs, dataclasses, attrs classes, TypedDicts,
NamedTuples and scalars; pydantic models use pydantic's own; a mixture goes
through msgspec's hooks.  JSON content is read strictly, text (path, query,
headers, cookies, forms) loosely, as there is nothing but text.
"""

from __future__ import annotations

import functools
import sys
import typing
import warnings
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Union

import msgspec

from ..errors import ConfigError
from .explain import Fault, faults_in, faults_of, from_model
from .kinds import UNIONS, is_model, models_in, structures_in

__all__ = ["Codec", "Refused", "codec_of", "constrained", "to_json", "to_msgpack"]

# What a description of a type is made of.
_PARTS = (msgspec.inspect.Type, msgspec.inspect.Field)

# Bytes of content; of more, only the first error is told, as looking for the
# others takes many times as long as decoding.
_MAX_EXPLAINED = 256 * 1024


class Refused(Exception):
    """A value does not fit its type.  ``faults`` says where and why."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults


class Codec:
    """What one type needs; ``convert`` is for text, and for lists and dicts of text."""

    __slots__ = ("convert", "decode", "decode_msgpack", "encode", "hint")

    def __init__(self, hint: Any) -> None:
        self.hint = hint
        self.decode: Callable[[bytes], Any]
        self.decode_msgpack: Callable[[bytes], Any]
        self.convert: Callable[[Any], Any]
        self.encode: Callable[[Any], bytes] = to_json

    def explain_json(self, content: bytes, error: Exception) -> list[Fault]:
        """Return all that is wrong with content that ``decode`` refused."""
        return self._explain(lambda: msgspec.json.decode(content), error, len(content))

    def explain_msgpack(self, content: bytes, error: Exception) -> list[Fault]:
        """Return all that is wrong with content that ``decode_msgpack`` refused."""
        return self._explain(lambda: msgspec.msgpack.decode(content), error, len(content))

    def explain_text(self, value: Any, error: Exception) -> list[Fault]:
        """Return all that is wrong with what ``convert`` refused."""
        return self._explain(lambda: value, error, 0, False)

    def _explain(
        self, read: Callable[[], Any], error: Exception, size: int, strict: bool = True
    ) -> list[Fault]:
        value = read()  # raises if it is malformed, whoever found that
        if hasattr(error, "errors"):
            return from_model(error)
        if size > _MAX_EXPLAINED:
            return list(faults_of((), error))
        faults = faults_in(value, self.hint, strict, _dec_hook)
        return faults or [((), "This value is not valid")]


def constrained(hint: Any, extras: Iterable[Any]) -> Any:
    """Return a type with the constraints among ``extras``, whoever's they are.

    ``msgspec.Meta``, what ``annotated_types`` defines and pydantic's ``Field``
    are understood.  Raises ``ConfigError`` for the rest.
    """
    metas = [extra for extra in extras if isinstance(extra, msgspec.Meta)]
    for extra in extras:
        if type(extra).__module__ == "annotated_types":
            metas.append(_meta_of(extra))
        elif type(extra).__module__.startswith("pydantic."):
            if models_in(hint):
                hint = Annotated[hint, extra]  # it knows best what it means
            else:
                listed = extra if isinstance(extra, Iterable) else [extra]
                metas += [_meta_of(one) for one in getattr(extra, "metadata", listed)]
    return functools.reduce(_bound, metas, hint)


def _bound(hint: Any, meta: msgspec.Meta) -> Any:
    """Return a type with a constraint; it is not about None."""
    members = typing.get_args(hint)
    if typing.get_origin(hint) not in UNIONS or type(None) not in members:
        return Annotated[hint, meta]
    return Union[tuple(m if m is type(None) else Annotated[m, meta] for m in members)]  # noqa: UP007


def _meta_of(constraint: Any) -> msgspec.Meta:
    try:
        return _translated(constraint)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the constraint {constraint!r}: {error}") from None


def _translated(constraint: Any) -> msgspec.Meta:
    name = type(constraint).__name__
    if name in ("Ge", "Gt", "Le", "Lt", "MultipleOf"):
        key = "multiple_of" if name == "MultipleOf" else name.lower()
        return msgspec.Meta(**{key: getattr(constraint, key)})
    if name in ("MinLen", "MaxLen"):
        key = "min_length" if name == "MinLen" else "max_length"
        return msgspec.Meta(**{key: getattr(constraint, key)})
    if name == "Len":
        return msgspec.Meta(min_length=constraint.min_length, max_length=constraint.max_length)
    if name == "Interval":
        bounds = {key: getattr(constraint, key) for key in ("ge", "gt", "le", "lt")}
        return msgspec.Meta(**{k: v for k, v in bounds.items() if v is not None})
    general = getattr(constraint, "__dict__", {})
    if name == "_PydanticGeneralMetadata" and general.keys() <= {"pattern", "strict"}:
        # Text is read loosely whatever is said: there is nothing but text.
        return msgspec.Meta(pattern=general.get("pattern"))
    raise ConfigError(f"the constraint {constraint!r} is not understood; use msgspec.Meta")


@functools.cache
def _cached(hint: Any) -> Codec:
    if models_in(hint):
        if not structures_in(hint):
            return _by_pydantic(hint)
        warnings.warn(
            f"{hint} mixes msgspec structs and pydantic models, which is slower", stacklevel=4
        )
    return _by_msgspec(hint)


def codec_of(hint: Any) -> Codec:
    """Return how a type is read and written.  Raises ``ConfigError`` if nobody knows."""
    try:
        try:
            return _cached(hint)
        except TypeError as error:
            if "unhashable" not in str(error):
                raise
            return _by_msgspec(hint)
    except (TypeError, NameError) as error:
        raise ConfigError(f"the type {hint!r} cannot be read or written: {error}") from None


def _by_msgspec(hint: Any) -> Codec:
    codec = Codec(hint)
    _check(hint)
    codec.decode = msgspec.json.Decoder(hint, dec_hook=_dec_hook).decode
    codec.decode_msgpack = msgspec.msgpack.Decoder(hint, dec_hook=_dec_hook).decode
    codec.convert = str if hint is str else _converter(hint)
    return codec


def _check(hint: Any) -> None:
    """Raise ``TypeError`` if somewhere in a type there is one that nobody can read."""
    left: list[Any] = [msgspec.inspect.type_info(hint)]
    seen: set[int] = set()
    while left:
        info = left.pop()
        if id(info) in seen:
            continue
        seen.add(id(info))
        if isinstance(info, msgspec.inspect.CustomType) and not is_model(info.cls):
            raise TypeError(f"nothing is known of {info.cls!r}, which is in it")
        for name in getattr(info, "__struct_fields__", ()):
            inner = getattr(info, name)
            found = inner if isinstance(inner, tuple) else (inner,)
            left += (one for one in found if isinstance(one, _PARTS))


def _converter(hint: Any) -> Callable[[Any], Any]:
    """Return how text, or a list or dict of text, is read loosely as a type."""
    # msgspec looks at a type anew for each convert(), but only once for a decoder.
    # To that, a text in quotes is what the text is to convert().
    decode = msgspec.json.Decoder(hint, strict=False, dec_hook=_dec_hook).decode

    def convert(value: Any) -> Any:
        if type(value) is str and _stands_in_quotes(value):
            return decode(f'"{value}"')
        return msgspec.convert(value, hint, strict=False, dec_hook=_dec_hook)

    return convert


def _stands_in_quotes(text: str) -> bool:
    if not text.isascii():
        return False
    # Mostly it is a word or a number.
    return text.isalnum() or (text.isprintable() and '"' not in text and "\\" not in text)


def _by_pydantic(hint: Any) -> Codec:
    codec = Codec(hint)
    adapter = _adapter(hint)
    codec.decode = adapter.validate_json
    codec.decode_msgpack = lambda content: adapter.validate_python(msgspec.msgpack.decode(content))
    codec.convert = adapter.validate_python
    codec.encode = functools.partial(_dump, adapter)
    return codec


def _dump(adapter: Any, value: Any) -> bytes:
    # By the names of its schema; what a handler returns is not validated again.
    encoded: bytes = adapter.dump_json(value, by_alias=True, warnings=False)
    return encoded


@functools.cache
def _adapter(kind: Any) -> Any:
    return sys.modules["pydantic"].TypeAdapter(kind)


def _dec_hook(kind: type, value: Any) -> Any:
    if is_model(kind):
        return _adapter(kind).validate_python(value)
    raise NotImplementedError(f"no decoder for {kind}")


def _enc_hook(value: Any) -> Any:
    if is_model(type(value)):
        kind: Any = type(value)
        return _adapter(kind).dump_python(value, mode="json", by_alias=True)
    raise NotImplementedError(f"{type(value).__qualname__} cannot be encoded")


to_json: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=_enc_hook).encode
"""Encode anything a handler may return as JSON."""

to_msgpack: Callable[[Any], bytes] = msgspec.msgpack.Encoder(enc_hook=_enc_hook).encode
"""The same as MessagePack."""
