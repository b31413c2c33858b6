"""The OpenAPI 3.1 document of an application: made from the plans that serve it.

What is validated and what is documented are the same objects, so they cannot
drift apart.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from ..errors import ConfigError
from .annotations import place_of
from .encoding import JSON, MSGPACK
from .overlap import Paths
from .params import Marker, Parameter
from .plan import Plan
from .problems import Invalid, Problem
from .response import HTMLResponse, RedirectResponse, Response, TextResponse
from .schemas import Schemas

__all__ = ["document"]

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
    },
    "required": ["title", "status"],
}
_INVALID: dict[str, Any] = {
    "properties": {
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "in": {"enum": ["path", "query", "header", "cookie", "form", "body"]},
                    "name": {"type": "string"},
                    "pointer": {"type": "string", "description": "RFC 6901, as URI fragment"},
                    "detail": {"type": "string"},
                },
                "required": ["in", "detail"],
            },
        }
    },
    "required": ["errors"],
}

_JSON, _MSGPACK = JSON.decode(), MSGPACK.decode()
_PROBLEM_TYPE = "application/problem+json"
_CONVERTER = re.compile(r"\{([^{}:]*):[^{}]*\}")


def document(app: Any) -> dict[str, Any]:
    """Return the OpenAPI document.  Raises ``ConfigError`` for a type that has no schema."""
    plans = [p for p in app.plans if not p.route.options.hidden and p.route.kind != "websocket"]
    schemas = Schemas()
    for plan in plans:
        for hint in _hints(plan):
            schemas.want(hint)
    schemas.make()
    _check_security(app, plans)
    paths = Paths()
    seen: set[str] = set()
    for plan in plans:
        path = _CONVERTER.sub(r"{\1}", plan.route.path)
        for method in sorted(plan.route.methods):
            operation = _operation(plan, method, schemas, seen)
            # OpenAPI 3.1 knows no QUERY.
            key = "x-query" if method == "QUERY" else method.lower()
            paths.add(path, key, operation)
    problem, invalid = _ref(schemas, "Problem"), _ref(schemas, "Invalid")
    own = {_name(problem): _PROBLEM, _name(invalid): {"allOf": [problem], **_INVALID}}
    components: dict[str, Any] = {"schemas": {**schemas.components, **own}}
    if app.security:
        components["securitySchemes"] = dict(app.security)
    info = {"title": app.title or "API", "version": app.version}
    if app.description:
        info["description"] = app.description
    return {"openapi": "3.1.0", "info": info, "paths": paths.items, "components": components}


def _check_security(app: Any, plans: list[Plan]) -> None:
    for plan in plans:
        for name in plan.route.options.security:
            if name not in app.security:
                raise ConfigError(
                    f"{place_of(plan.route.handler)}: there is no security scheme {name!r}; "
                    f"write app.security[{name!r}] = {{...}}"
                )


def _ref(schemas: Schemas, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schemas.name(name)}"}


def _name(ref: dict[str, str]) -> str:
    return ref["$ref"].rpartition("/")[2]


def _returned(plan: Plan) -> Any:
    """Return the type of the content, or of its items if it streams."""
    encoding = plan.encoding
    return encoding.returns if encoding.item is None else encoding.item


def _has_schema(hint: Any) -> bool:
    if hint in (None, Any, bytes):
        return False
    return not (inspect.isclass(hint) and (issubclass(hint, Response) or _is_application(hint)))


def _is_application(kind: type) -> bool:
    """Say whether instances can be awaited with a scope, as other frameworks' responses can."""
    called = [vars(one).get("__call__") for one in kind.__mro__]
    return any(inspect.iscoroutinefunction(one) for one in called)


def _hints(plan: Plan) -> Iterator[Any]:
    for parameter in plan.parameters:
        yield parameter.hint
    returned = _returned(plan)
    if _has_schema(returned):
        yield returned


def _operation(plan: Plan, method: str, schemas: Schemas, seen: set[str]) -> dict[str, Any]:
    route = plan.route
    options = route.options
    name = route.name if route.name not in seen else f"{route.name}_{method.lower()}"
    while name in seen:
        name += "_"
    seen.add(name)
    operation: dict[str, Any] = {"operationId": name}
    text = inspect.getdoc(route.handler) or ""
    first, _, rest = text.partition("\n\n")
    summary = (
        options.summary or first.replace("\n", " ") or name.replace("_", " ").strip().capitalize()
    )
    operation["summary"] = summary
    if options.description or rest:
        operation["description"] = options.description or rest
    tags = [*route.tags, *options.tags]
    if tags:
        operation["tags"] = tags
    if options.deprecated:
        operation["deprecated"] = True
    if options.security:
        operation["security"] = [{scheme: []} for scheme in options.security]
    parameters = [one for p in plan.parameters for one in _parameter(p, schemas)]
    if parameters:
        operation["parameters"] = parameters
    if plan.content and method not in ("GET", "HEAD"):
        operation["requestBody"] = _body(plan, schemas)
    operation["responses"] = _responses(plan, schemas)
    return operation


def _parameter(parameter: Parameter, schemas: Schemas) -> Iterator[dict[str, Any]]:
    if parameter.source not in ("path", "query", "header", "cookie"):
        return
    schema = schemas.of(parameter.hint)
    if parameter.whole:
        # One parameter a field is what clients send.
        whole = schemas.components[_name(schema)] if "$ref" in schema else schema
        required = whole.get("required", [])
        for name, field in whole.get("properties", {}).items():
            yield {
                "name": name,
                "in": parameter.source,
                "required": name in required,
                "schema": field,
            }
        return
    required = parameter.argument.required or parameter.source == "path"
    if not required:
        schema |= _default(parameter.argument.default)
    found: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.source,
        "required": required,
        "schema": schema,
    }
    marker = parameter.marker
    if marker is not None:
        if marker.title:
            schema["title"] = marker.title
        if marker.description:
            found["description"] = marker.description
        if marker.deprecated:
            found["deprecated"] = True
        found |= _examples(marker)
    yield found


def _default(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    try:
        return {"default": msgspec.to_builtins(value)}
    except TypeError:
        return {}  # it is not a value that a client could send


def _examples(marker: Marker | None) -> dict[str, Any]:
    if marker is None or not marker.examples:
        return {}
    numbered = enumerate(marker.examples, 1)
    return {"examples": {str(index): {"value": value} for index, value in numbered}}


def _body(plan: Plan, schemas: Schemas) -> dict[str, Any]:
    first = plan.content[0]
    required = any(one.argument.required for one in plan.content)
    if first.source == "form":
        if first.whole:
            schema = schemas.of(first.hint)
        else:
            schema = {
                "type": "object",
                "properties": {one.name: schemas.of(one.hint) for one in plan.content},
                "required": [one.name for one in plan.content if one.argument.required],
            }
        return {
            "required": required,
            "content": {"application/x-www-form-urlencoded": {"schema": schema}},
        }
    if first.hint is bytes:
        content: dict[str, Any] = {"application/octet-stream": {}}
    elif first.hint is str:
        content = {"text/plain": {"schema": {"type": "string"}}}
    else:
        schema = schemas.of(first.hint)
        content = {_JSON: {"schema": schema}, _MSGPACK: {"schema": schema}}
        content[_JSON] |= _examples(first.marker)
    body = {"required": required, "content": content}
    if first.marker is not None and first.marker.description:
        body["description"] = first.marker.description
    return body


def _responses(plan: Plan, schemas: Schemas) -> dict[str, Any]:
    options = plan.route.options
    returned = _returned(plan)
    status = options.status or (204 if plan.encoding.returns is None else 200)
    kind = typing.get_origin(plan.returns) or plan.returns
    if inspect.isclass(kind) and issubclass(kind, RedirectResponse):
        status = options.status or 307
    success: dict[str, Any] = {"description": _phrase(status)}
    content = _content(plan, kind, returned, schemas)
    if content and status != 204:
        success["content"] = content
    responses: dict[str, Any] = {str(status): success}
    problems: list[type[Problem]] = list(options.raises)
    if plan.parameters:
        problems.append(Invalid)
    for problem in problems:
        name = "Invalid" if problem is Invalid else "Problem"
        known = responses.setdefault(str(problem.status), {"description": "", "content": {}})
        title = problem.title or _phrase(problem.status)
        known["description"] = " or ".join(filter(None, [known["description"], title]))
        known.setdefault("content", {})[_PROBLEM_TYPE] = {"schema": _ref(schemas, name)}
    problem_content = {_PROBLEM_TYPE: {"schema": _ref(schemas, "Problem")}}
    responses["default"] = {"description": "A problem", "content": problem_content}
    return responses


def _content(plan: Plan, kind: Any, returned: Any, schemas: Schemas) -> dict[str, Any]:
    encoding = plan.encoding
    if plan.route.kind == "sse":
        schema = {"type": "string", "description": "server-sent events"}
        return {"text/event-stream": {"schema": schema}}
    whole = inspect.isclass(kind) and issubclass(kind, Response)
    if whole and issubclass(kind, HTMLResponse | TextResponse):
        return {kind.media_type.partition(";")[0]: {"schema": {"type": "string"}}}
    if returned is bytes:
        return {"application/octet-stream": {}}
    if returned is str:
        return {"text/plain": {"schema": {"type": "string"}}}
    if not _has_schema(returned):
        if returned is None or (whole and issubclass(kind, RedirectResponse)):
            return {}
        # Only the handler knows what is in its response.
        return {_JSON: {}} if kind is Any else {"*/*": {}}
    schema = schemas.of(returned)
    if encoding.item is not None:
        return {"application/jsonl": {"schema": schema}}
    if whole:  # response objects are sent as they are
        return {_JSON: {"schema": schema}}
    return {_JSON: {"schema": schema}, _MSGPACK: {"schema": schema}}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
