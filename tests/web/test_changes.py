"""What breaks clients is found, and what does not is not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.web.documented import application

from tidegate.web.changes import breaking_changes
from tidegate.web.openapi import document

Schema = dict[str, Any]


def sent(schema: Schema) -> Any:
    """A document in which clients send this."""
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"paths": {"/a": {"post": {"requestBody": body}}}}


def received(schema: Schema) -> Any:
    """A document in which clients receive this."""
    answer = {"200": {"content": {"application/json": {"schema": schema}}}}
    return {"paths": {"/a": {"post": {"responses": answer}}}}


def asked(*parameters: Schema) -> Any:
    return {"paths": {"/a": {"post": {"parameters": list(parameters)}}}}


def parameter(name: str, required: bool = False, **schema: Any) -> Schema:
    return {"in": "query", "name": name, "required": required, "schema": schema}


def structure(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
NULLABLE: Schema = {"anyOf": [TEXT, {"type": "null"}]}
RED: Schema = {"enum": ["red"]}
COLORS: Schema = {"enum": ["red", "blue"]}


# Before, after, whether it breaks those who send it, and those who receive it.
SCHEMAS = [
    (TEXT, INTEGER, True, True),
    (INTEGER, NUMBER, False, True),
    (NUMBER, INTEGER, True, False),
    ({"type": ["string", "null"]}, TEXT, True, False),
    (TEXT, {"type": ["string", "null"]}, False, True),
    (NULLABLE, TEXT, True, False),
    (TEXT, NULLABLE, False, True),
    (COLORS, RED, True, False),
    (RED, COLORS, False, True),
    (TEXT, RED, True, False),
    (RED, TEXT, False, True),
    (RED, INTEGER, True, True),
    ({"const": 1}, INTEGER, False, True),
    (INTEGER, {**INTEGER, "minimum": 1}, True, False),
    ({**INTEGER, "minimum": 1}, INTEGER, False, False),
    ({**INTEGER, "maximum": 5}, {**INTEGER, "maximum": 4}, True, False),
    ({**INTEGER, "maximum": 4}, {**INTEGER, "maximum": 5}, False, False),
    (TEXT, {**TEXT, "maxLength": 5}, True, False),
    (TEXT, {**TEXT, "pattern": "a"}, True, False),
    ({"type": "array", "items": TEXT}, {"type": "array", "items": INTEGER}, True, True),
    (structure(a=TEXT), structure(a=TEXT, b=TEXT), False, False),
    (structure(a=TEXT), structure("b", a=TEXT, b=TEXT), True, False),
    (structure("a", a=TEXT), structure(a=TEXT), False, True),
    (structure(a=TEXT), structure("a", a=TEXT), True, False),
    (structure(a=TEXT, b=TEXT), structure(a=TEXT), False, True),
    (structure(a=TEXT), structure(a=INTEGER), True, True),
    (structure(a=structure(b=TEXT)), structure(a=structure("b", b=TEXT)), True, False),
    (TEXT, {**TEXT, "description": "A text"}, False, False),
    ({"anyOf": [TEXT, INTEGER]}, {"anyOf": [INTEGER, TEXT]}, False, False),
    ({"anyOf": [TEXT, INTEGER]}, {"anyOf": [TEXT, INTEGER, RED]}, False, False),
    ({"anyOf": [TEXT, INTEGER]}, {"anyOf": [TEXT, structure()]}, True, True),
    ({}, TEXT, True, False),
    (TEXT, {}, False, True),
]


@pytest.mark.parametrize(("before", "after", "sending", "receiving"), SCHEMAS)
def test_a_schema_that_changed(
    before: Schema, after: Schema, sending: bool, receiving: bool
) -> None:
    assert bool(breaking_changes(sent(before), sent(after))) == sending
    assert bool(breaking_changes(received(before), received(after))) == receiving
    assert breaking_changes(sent(before), sent(before)) == []
    assert breaking_changes(received(after), received(after)) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"paths": {"/a": {}}}, {"paths": {}}, ["/a: the path is gone"]),
        ({"paths": {"/a": {"get": {}}}}, {"paths": {"/a": {}}}, ["GET /a: the method is gone"]),
        ({"paths": {"/a": {}}}, {"paths": {"/a": {"get": {}}, "/b": {}}}, []),
        (asked(), asked(parameter("q")), []),
        (asked(), asked(parameter("q", True)), ["query parameter 'q' is new and required"]),
        (asked(parameter("q")), asked(parameter("q", True)), ["'q' has become required"]),
        (asked(parameter("q", True)), asked(parameter("q")), []),
        (asked(parameter("q")), asked(), ["query parameter 'q' is gone"]),
        (
            asked(parameter("q", type="string")),
            asked(parameter("q", type="integer")),
            ["query parameter 'q': was string, is integer"],
        ),
        (sent(TEXT), asked(), []),
        (asked(), sent(TEXT), ["content has become required"]),
    ],
)
def test_an_operation_that_changed(before: Any, after: Any, expected: list[str]) -> None:
    found = breaking_changes(before, after)
    assert len(found) == len(expected)
    for line, words in zip(found, expected, strict=True):
        assert words in line


def test_media_types_and_statuses_that_are_gone_break() -> None:
    before, after = received(TEXT), received(TEXT)
    answers = after["paths"]["/a"]["post"]["responses"]
    answers["200"]["content"] = {"text/plain": {}}
    assert breaking_changes(before, after) == ["POST /a: answer 200 is no longer application/json"]
    answers["201"] = answers.pop("200")
    assert breaking_changes(before, after) == ["POST /a: it no longer answers 200"]
    kept, other = sent(TEXT), sent(TEXT)
    other["paths"]["/a"]["post"]["requestBody"]["content"] = {"text/plain": {}}
    assert breaking_changes(kept, other) == ["POST /a: content may no longer be application/json"]


def test_references_are_followed_also_in_circles() -> None:
    def tree(leaf: Schema) -> Any:
        found = sent({"$ref": "#/components/schemas/Tree"})
        children = {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}
        found["components"] = {"schemas": {"Tree": structure(leaf=leaf, children=children)}}
        return found

    assert breaking_changes(tree(TEXT), tree(TEXT)) == []
    assert breaking_changes(tree(TEXT), tree(INTEGER)) == [
        "POST /a: content.leaf: was string, is integer"
    ]


@pytest.mark.parametrize("name", ["demo", "shop", "every_kind"])
def test_a_document_does_not_break_itself(name: str) -> None:
    found = document(application(name))
    assert breaking_changes(found, copy.deepcopy(found)) == []
    assert len(breaking_changes(found, {"paths": {}})) == len(found["paths"])
