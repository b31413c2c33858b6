"""What does the content of a request become, for the parameter that takes it?

A form is read loosely, as there is nothing but text; JSON and MessagePack
strictly; ``bytes`` and ``str`` are taken as they came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .content import at_content, read_json, read_msgpack
from .params import Parameter
from .problems import Invalid, Problem
from .request import Request, parse_query

__all__ = ["taker"]

_FORM = b"application/x-www-form-urlencoded"
_JSON = b"application/json"
_MSGPACK = (b"application/msgpack", b"application/x-msgpack", b"application/vnd.msgpack")

Complaints = Callable[[Request], list[dict[str, str]]]


def taker(parameter: Parameter, complaints: Complaints) -> Callable[[Request], Awaitable[None]]:
    """Return what puts the content in the last place of ``request.values``.

    ``complaints`` tells what else is wrong with a request, when the content is:
    all of it is said at once.
    """
    if parameter.source == "form":
        return _take_form
    if parameter.argument.type in (bytes, str):
        return _as_it_came(parameter, complaints)
    return _decoded(parameter, complaints)


async def _take_form(request: Request) -> None:
    if _media_type(request) != _FORM:
        raise Problem(415, "the content must be application/x-www-form-urlencoded")
    request.values[-1] = parse_query(await request.body())


def _as_it_came(
    parameter: Parameter, complaints: Complaints
) -> Callable[[Request], Awaitable[None]]:
    codec, argument = parameter.codec, parameter.argument

    async def take(request: Request) -> None:
        whole: Any = await request.body()
        if not whole and not argument.required:
            request.values[-1] = argument.default
            return
        if argument.type is str:
            whole = await request.text()
        try:
            request.values[-1] = codec.convert(whole)
        except ValueError as error:
            faults = [at_content(one) for one in codec.explain_text(whole, error)]
            raise Invalid([*complaints(request), *faults]) from None

    return take


def _decoded(parameter: Parameter, complaints: Complaints) -> Callable[[Request], Awaitable[None]]:
    codec, argument = parameter.codec, parameter.argument
    decode = codec.decode

    async def take(request: Request) -> None:
        content = await request.body()
        if not content and not argument.required:
            request.values[-1] = argument.default
            return
        if request.fields.get(b"content-type") == _JSON:
            try:
                request.values[-1] = decode(content)
                return
            except (ValueError, RecursionError):
                pass  # what is wrong is found out below
        try:
            request.values[-1] = _read(parameter, content, _media_type(request))
        except Invalid as invalid:
            raise Invalid([*complaints(request), *invalid.errors]) from None

    return take


def _read(parameter: Parameter, content: bytes, kind: bytes) -> Any:
    if kind in (_JSON, b"") or kind.endswith(b"+json"):
        return read_json(parameter.codec, content)
    if kind in _MSGPACK:
        return read_msgpack(parameter.codec, content)
    raise Problem(415, "the content must be application/json or application/msgpack")


def _media_type(request: Request) -> bytes:
    return request.fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
