"""Handlers that run in another process, which must be able to import them."""

from __future__ import annotations

import os
import threading
from typing import Any

import msgspec

from tidegate import Problem, Request, Response, StreamResponse

__all__ = [
    "Sum",
    "TooLarge",
    "add",
    "echo",
    "fails",
    "never",
    "number",
    "refuses",
    "responds",
    "streams",
    "wants_request",
]


class Sum(msgspec.Struct):
    left: int
    right: int
    process: int = 0


class TooLarge(Problem, status=409, title="Too large"):
    pass


def add(left: int, right: int = 1) -> Sum:
    return Sum(left, right, os.getpid())


def echo(kind: str) -> Any:
    return {"str": "text", "bytes": b"bytes", "none": None, "dict": {"a": 1}}[kind]


def number(value: int = 1) -> int:
    return value


def responds() -> Response[Sum]:
    return Response(Sum(1, 2), 201, {"x-made": "there"})


def streams() -> StreamResponse:
    return StreamResponse(["a", "b"])


def refuses() -> None:
    raise TooLarge("more than we can", limit=7)


def fails() -> None:
    raise KeyError("of the child")


def never() -> None:
    threading.Event().wait()


def wants_request(request: Request) -> None: ...
