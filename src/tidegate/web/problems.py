"""How does an error look to the client?  Like RFC 9457 says, everywhere.

A ``Problem`` is raised, or returned by an error handler; what a framework must
refuse by itself (404, 405, 413, 415, 422, 500) is a ``Problem`` too, so there
is one shape of error and it is in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..errors import TidegateError
from ..http import phrase
from .codec import to_json
from .headers import to_pairs

__all__ = ["MEDIA_TYPE", "Invalid", "Problem", "problem_response"]

MEDIA_TYPE = b"application/problem+json"


def problem_response(
    status: int,
    title: str | None = None,
    detail: str | None = None,
    headers: Iterable[tuple[bytes, bytes]] = (),
    **members: Any,
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, ASGI headers and content of a problem (RFC 9457 section 3).

    ``members`` are more members of the object; those that are None are left out.
    """
    content = {"title": title or phrase(status), "status": status, "detail": detail, **members}
    body = to_json({name: value for name, value in content.items() if value is not None})
    fields = [(b"content-type", MEDIA_TYPE), (b"content-length", b"%d" % len(body)), *headers]
    return status, fields, body


class Problem(TidegateError):
    """An error to tell the client: ``raise Problem(404, "no such item")``.

    A subclass fixes what it is about, and can then be named in ``raises=`` and
    appears in the OpenAPI document::

        class OutOfStock(Problem, status=409, title="Out of stock"): ...

    ``type`` is a URI that identifies the kind of problem, ``instance`` one that
    identifies this occurrence; ``members`` are added to the object.  Nothing of
    it is secret: all of it is sent.
    """

    status: int = 500
    title: str | None = None
    type: str | None = None
    own_status: ClassVar[bool] = False

    def __init_subclass__(
        cls, status: int | None = None, title: str | None = None, type: str | None = None
    ) -> None:
        super().__init_subclass__()
        if status is not None:
            cls.status = status
            cls.own_status = True
        cls.title = title or cls.title
        cls.type = type or cls.type

    def __init__(
        self,
        status: int | str | None = None,
        detail: str | None = None,
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        if isinstance(status, str):
            # A subclass knows its status: OutOfStock("only two left").
            status, detail = None, status
        if status is not None:
            self.status = status
        if title is not None:
            self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        to_pairs(self.headers)  # raises here, where they were written, if they cannot be sent
        self.members = members
        super().__init__(detail or self.title or phrase(self.status))

    def response(self) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Return status, ASGI headers and content."""
        fields = to_pairs(self.headers)
        members = {"type": self.type, **self.members}
        return problem_response(self.status, self.title, self.detail, fields, **members)


class Invalid(Problem, status=422, title="The request is not valid"):
    """What was sent does not fit the types of the handler: all that is wrong with it.

    ``errors`` are objects with ``detail`` and where it is: ``in`` (path, query,
    header, cookie, form, body) with ``name``, or with ``pointer`` for a place in
    the content (a JSON Pointer as URI fragment, RFC 6901 section 6).  Values
    that were sent are never repeated.
    """

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(errors=errors)
        self.errors = errors
