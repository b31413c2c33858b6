"""What is wrong with a value?  All of it, asked only when a decoder has refused it.

Decoders stop at the first error because that is quick.  A person who fills a
form wants all of them, so the refused value is decoded once more without types
and compared with them place by place.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any
from urllib.parse import quote

import msgspec

from .kinds import alternatives

__all__ = ["MAX_ERRORS", "Fault", "faults_in", "faults_of", "from_model", "pointer"]

# Enough for any form; a list of a million wrong items must not make a long answer.
MAX_ERRORS = 50

# Deeper structures are told of as a whole: each level is a call in a call.
_MAX_DEPTH = 50

Fault = tuple[tuple[str | int, ...], str]
"""Where in the value, and what is wrong there."""

_LISTS = (list, set, frozenset, tuple)

_AT = re.compile(r" - at `(?:key in )?\$?(.*)`$", re.DOTALL)
_STEPS = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
# Messages that repeat what was sent.
_ECHO = re.compile(r"^(Invalid (?:enum )?value) .*$", re.DOTALL)


def pointer(steps: Sequence[str | int]) -> str:
    """Return a JSON Pointer as URI fragment (RFC 6901 section 6)."""
    escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return "#" + "".join("/" + quote(step, safe="~") for step in escaped)


def faults_in(value: Any, hint: Any, strict: bool, dec_hook: Any = None) -> list[Fault]:
    """Return all that keeps ``value`` from being a ``hint``, at most ``MAX_ERRORS``."""
    return list(islice(_Walk(strict, dec_hook).faults((), value, hint), MAX_ERRORS))


def from_model(error: Any) -> list[Fault]:
    """Return the faults that a pydantic ``ValidationError`` lists."""
    listed = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        (tuple(item["loc"]), _QUOTING.get(item["type"], item["msg"]))
        for item in listed[:MAX_ERRORS]
    ]


# What pydantic says of these repeats what was sent.
_QUOTING = {
    "union_tag_invalid": "Invalid value",
    "uuid_parsing": "Input should be a valid UUID",
}


def faults_of(at: tuple[str | int, ...], error: Exception) -> Iterator[Fault]:
    """Yield what the decoder says, or what a class of the user says through it."""
    where, message = _fault(at, str(error))
    if hasattr(error.__cause__, "errors"):
        for steps, said in from_model(error.__cause__):
            yield (*where, *steps), said
    elif _speaks(error.__cause__) == "attr.validators":
        yield where, "This value is not valid"  # theirs repeat it
    else:
        yield where, message


class _Walk:
    def __init__(self, strict: bool, dec_hook: Any) -> None:
        self.strict = strict
        self.dec_hook = dec_hook

    def faults(self, at: tuple[str | int, ...], value: Any, hint: Any) -> Iterator[Fault]:
        try:
            msgspec.convert(value, hint, strict=self.strict, dec_hook=self.dec_hook)
        except msgspec.ValidationError as error:
            inner = list(islice(self._inside(at, value, hint), MAX_ERRORS))
            yield from inner or faults_of(at, error)

    def _inside(self, at: tuple[str | int, ...], value: Any, hint: Any) -> Iterator[Fault]:
        """Yield what is wrong with the parts of a value; nothing if it has none."""
        one = _chosen(value, hint)
        if one is None or len(at) > _MAX_DEPTH:
            return
        origin, args = typing.get_origin(one), typing.get_args(one)
        if isinstance(value, list):
            if origin is tuple and args[-1:] != (Ellipsis,):
                hints: Iterable[Any] = args
            else:
                hints = repeat(args[0]) if origin in _LISTS and args else ()
            for index, (item, inner) in enumerate(zip(value, hints, strict=False)):
                yield from self.faults((*at, index), item, inner)
        elif isinstance(value, dict):
            if origin is dict:
                for key, item in value.items():
                    # Keys are text in JSON, whatever they are to be.
                    yield from _Walk(False, self.dec_hook).faults((*at, key), key, args[0])
                    yield from self.faults((*at, key), item, args[1])
            else:
                yield from self._fields(at, value, one)

    def _fields(self, at: tuple[str | int, ...], value: Any, structure: Any) -> Iterator[Fault]:
        try:
            info = msgspec.inspect.type_info(structure)
            fields = () if _is_array(info) else getattr(info, "fields", ())
            hints = _hints(structure) if fields else {}
        except (TypeError, NameError):
            return
        known = set()
        for field in fields:
            known.add(field.encode_name)
            if field.encode_name in value:
                hint = hints.get(field.name, Any)
                yield from self.faults((*at, field.encode_name), value[field.encode_name], hint)
            elif field.required:
                yield (*at, field.encode_name), "This field is required"
        tag = getattr(info, "tag_field", None)
        if getattr(info, "forbid_unknown_fields", False):
            for name in value:
                if name not in known and name != tag:
                    yield (*at, name), "There is no such field"


def _chosen(value: Any, hint: Any) -> Any:
    """Return which member of a union is meant; None if that is anybody's guess."""
    choices = [one for one in alternatives(hint) if one is not type(None)]
    if len(choices) == 1:
        return choices[0]
    for one in choices if isinstance(value, dict) else ():
        info = msgspec.inspect.type_info(one)
        tag = getattr(info, "tag_field", None)
        if tag is not None and value.get(tag) == getattr(info, "tag", None):
            return one
    return None


def _is_array(info: Any) -> bool:
    return isinstance(info, msgspec.inspect.NamedTupleType) or getattr(info, "array_like", False)


def _hints(structure: Any) -> dict[str, Any]:
    """Return the types of the fields, with those that a generic structure was given."""
    origin = typing.get_origin(structure) or structure
    hints = typing.get_type_hints(origin, include_extras=True)
    given = dict(
        zip(getattr(origin, "__parameters__", ()), typing.get_args(structure), strict=False)
    )
    return {name: _filled(hint, given) for name, hint in hints.items()}


def _filled(hint: Any, given: dict[Any, Any]) -> Any:
    if typing.get_origin(hint) in (typing.Required, typing.NotRequired):
        (hint,) = typing.get_args(hint)
    if isinstance(hint, typing.TypeVar):
        return given.get(hint, Any)
    wanted = getattr(hint, "__parameters__", ()) if typing.get_origin(hint) is not None else ()
    return hint[tuple(given.get(one, Any) for one in wanted)] if wanted else hint


def _speaks(error: BaseException | None) -> str:
    """Return the name of the module that raised an error."""
    trace = error.__traceback__ if error else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__")) if trace else ""


def _fault(at: tuple[str | int, ...], message: str) -> Fault:
    found = _AT.search(message)
    if found:
        message = message[: found.start()]
        steps = [name or index for name, index in _STEPS.findall(found[1])]
        at = (*at, *(int(s) if s.isdigit() else s for s in steps if s != "..."))
    message = _ECHO.sub(r"\1", message)
    return at, message.replace("`", "'")
