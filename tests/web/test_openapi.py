"""The OpenAPI document says what the application does, in the form of OpenAPI 3.1."""

from __future__ import annotations

import functools
import json
from typing import Annotated, Any

import pytest
from msgspec import Struct
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.web.documented import application
from tests.web.driver import ask

from tidegate import App, Body, ConfigError, Problem, Query, Request
from tidegate.web.openapi import document

APPLICATIONS = ["demo", "shop", "every_kind"]


@functools.cache
def document_of(name: str) -> Any:
    return json.loads(json.dumps(document(application(name))))


def operation(path: str, method: str = "post") -> Any:
    return document_of("every_kind")["paths"][path][method]


def schema_of(content: Any, kind: str = "application/json") -> Any:
    """Return a schema, of the component if it is one."""
    schema = content["content"][kind]["schema"]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return document_of("every_kind")["components"]["schemas"][name]
    return schema


def references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(references, value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own.union(*map(references, value.values()))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_document_is_valid(name: str) -> None:
    found = document_of(name)
    assert [str(error) for error in OpenAPIV31SpecValidator(found).iter_errors()] == []
    for reference in references(found):
        place: Any = found
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    names = [one["operationId"] for item in found["paths"].values() for one in item.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", APPLICATIONS)
async def test_the_application_serves_its_document(name: str) -> None:
    app = application(name)
    async with app.opened():
        reply = await ask(app, target="/openapi.json")
    assert reply.header("content-type") == "application/json"
    assert reply.json["info"] == document_of(name)["info"]


def test_hidden_routes_mounts_and_sockets_are_left_out() -> None:
    paths = document_of("every_kind")["paths"]
    assert {"/hidden", "/old", "/docs", "/raw", "/socket/{room}"} & paths.keys() == set()


def test_parameters_say_where_they_are_and_what_fits() -> None:
    found = {one["name"]: one for one in operation("/marked/{id}", "get")["parameters"]}
    places = {name: (one["in"], one["required"]) for name, one in found.items()}
    assert places == {
        "id": ("path", True),
        "p": ("query", False),
        "old": ("query", False),
        "agent": ("header", False),
        "sid": ("cookie", False),
        "x-all": ("header", False),
    }
    assert found["p"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 9, "default": 1}
    assert found["p"]["description"] == "Page"
    assert found["p"]["examples"] == {"1": {"value": 1}, "2": {"value": 2}}
    assert found["old"]["deprecated"] is True
    assert found["old"]["schema"]["title"] == "Old"
    assert found["x-all"]["schema"]["items"] == {"type": "string"}


def test_defaults_are_values_as_clients_send_them() -> None:
    found = {
        one["name"]: one["schema"].get("default")
        for one in operation("/scalars/{id}/{rest}", "get")["parameters"]
        if not one["required"]
    }
    assert found == {
        "size": 1,
        "number": 1.5,
        "flag": False,
        "price": "1.0",
        "when": None,
        "kind": "a",
        "either": 1,
        "many": [],
    }


def test_a_structure_in_the_query_is_one_parameter_a_field() -> None:
    found = operation("/filtered", "get")["parameters"]
    assert [(one["name"], one["required"]) for one in found] == [
        ("q", True),
        ("color", False),
        ("tags", False),
    ]


@pytest.mark.parametrize(
    ("path", "method", "names"),
    [
        ("/struct", "post", {"x", "y", "when", "id"}),
        ("/dataclass", "put", {"name", "colors"}),
        ("/attrs", "patch", {"wheels"}),
        ("/typeddict", "post", {"theme"}),
        ("/model", "post", {"name", "inner", "rest"}),
        ("/tree", "post", {"children"}),
        ("/generic", "post", {"content", "more"}),
        ("/same", "post", {"field1"}),
        ("/same/models", "post", {"field3"}),
        ("/same/point", "post", {"z"}),
        ("/mixed", "post", {"model"}),
    ],
)
def test_every_kind_of_structure_is_described(path: str, method: str, names: set[str]) -> None:
    body = operation(path, method)["requestBody"]
    assert schema_of(body)["properties"].keys() == names
    assert schema_of(body, "application/msgpack") == schema_of(body)


@pytest.mark.parametrize(
    ("path", "names"),
    [("/same", {"field2"}), ("/same/models", {"field4"}), ("/same/point", {"why"})],
)
def test_two_types_of_one_name_are_two_components(path: str, names: set[str]) -> None:
    answer = operation(path)["responses"]["200"]
    assert schema_of(answer)["properties"].keys() == names
    problem = operation(path)["responses"]["default"]
    assert "status" in schema_of(problem, "application/problem+json")["properties"]


def test_a_union_names_what_tells_its_members_apart() -> None:
    schema = schema_of(operation("/union")["requestBody"])
    assert len(schema["anyOf"]) == 2
    assert schema["discriminator"]["propertyName"] == "type"


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("/form/fields", {"application/x-www-form-urlencoded"}),
        ("/form/whole", {"application/x-www-form-urlencoded"}),
        ("/raw/bytes", {"application/octet-stream"}),
        ("/raw/text", {"text/plain"}),
        ("/struct", {"application/json", "application/msgpack"}),
    ],
)
def test_the_content_that_is_read_is_named(path: str, kinds: set[str]) -> None:
    assert operation(path)["requestBody"]["content"].keys() == kinds


def test_fields_of_a_form_are_named() -> None:
    schema = schema_of(
        operation("/form/fields")["requestBody"], "application/x-www-form-urlencoded"
    )
    assert schema["properties"]["name"] == {"type": "string", "minLength": 1}
    assert schema["required"] == ["name"]


def test_content_has_its_description_and_examples() -> None:
    body = operation("/example")["requestBody"]
    assert body["description"] == "Where"
    assert body["content"]["application/json"]["examples"] == {"1": {"value": {"x": 1}}}
    assert operation("/optional")["requestBody"]["required"] is False


@pytest.mark.parametrize(
    ("path", "status", "kinds"),
    [
        ("/marked/{id}", "204", None),
        ("/html", "200", {"text/html"}),
        ("/text", "200", {"text/plain"}),
        ("/json", "200", {"application/json"}),
        ("/moved", "307", None),
        ("/file", "200", {"*/*"}),
        ("/stream", "200", {"*/*"}),
        ("/lines", "200", {"application/jsonl"}),
        ("/chunks", "200", {"application/octet-stream"}),
        ("/words", "200", {"text/plain"}),
        ("/foreign", "200", {"application/json"}),
        ("/filtered", "200", {"application/json", "application/msgpack"}),
        ("/events/{room}", "200", {"text/event-stream"}),
    ],
)
def test_answers_are_of_the_types_that_are_sent(
    path: str, status: str, kinds: set[str] | None
) -> None:
    answer = operation(path, "get")["responses"][status]
    assert (answer["content"].keys() if "content" in answer else None) == kinds


def test_problems_are_listed_by_status() -> None:
    answers = operation("/struct")["responses"]
    assert answers.keys() == {"201", "409", "422", "default"}
    assert answers["409"]["description"] == "Out of stock or Taken"
    for status in ("409", "422", "default"):
        assert answers[status]["content"].keys() == {"application/problem+json"}
    assert "422" not in operation("/html", "get")["responses"]  # nothing can be wrong with it


async def test_a_problem_has_the_form_that_is_described() -> None:
    class Item(Struct):
        name: str

    app = App()

    @app.post("/")
    async def create(item: Item, page: Annotated[int, Query(ge=1)]) -> None: ...

    invalid = document(app)["components"]["schemas"]["Invalid"]
    reply = await ask(app, "POST", "/?page=0", {"content-type": "application/json"}, b'{"name":1}')
    member = invalid["properties"]["errors"]["items"]
    assert len(reply.json["errors"]) == 2
    for error in reply.json["errors"]:
        assert set(member["required"]) <= error.keys() <= member["properties"].keys()
        assert error["in"] in member["properties"]["in"]["enum"]


def test_what_the_handler_says_is_the_description() -> None:
    found = operation("/scalars/{id}/{rest}", "get")
    assert (found["summary"], found["description"]) == ("Take scalars.", "More about it.")
    marked = operation("/marked/{id}", "get")
    assert (marked["summary"], marked["description"]) == ("Marked", "Things")
    assert (marked["tags"], marked["deprecated"]) == (["all", "marks"], True)
    assert operation("/inner/own", "get")["tags"] == ["all", "inner"]


def test_parameters_of_dependencies_are_parameters() -> None:
    (found,) = operation("/inner/own", "get")["parameters"]
    assert (found["in"], found["name"], found["required"]) == ("header", "x-token", True)


def test_security_is_said_where_it_is_asked_for() -> None:
    assert operation("/struct")["security"] == [{"key": []}, {"oauth": []}]
    schemes = document_of("every_kind")["components"]["securitySchemes"]
    assert schemes["key"] == {"type": "apiKey", "in": "header", "name": "x-key"}
    assert "security" not in operation("/model")


def test_a_security_scheme_that_does_not_exist_is_an_error() -> None:
    app = App()

    @app.get("/", security=["key"])
    async def show() -> None: ...

    with pytest.raises(ConfigError, match=r"show.*there is no security scheme 'key'"):
        document(app)


def test_a_type_without_schema_is_an_error() -> None:
    class Thing:
        pass

    app = App()

    @app.get("/")
    async def show() -> Thing:
        return Thing()

    with pytest.raises(ConfigError, match="Thing"):
        document(app)


def test_a_method_that_openapi_does_not_know_is_an_extension() -> None:
    assert document_of("every_kind")["paths"]["/several"].keys() == {"get", "post", "x-query"}


def test_an_application_without_a_name_has_a_document() -> None:
    found = document(App())
    assert found["info"] == {"title": "API", "version": "0"}
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []


def test_problems_of_the_user_keep_their_status() -> None:
    class Teapot(Problem, status=418):
        pass

    app = App()

    @app.get("/", raises=[Teapot])
    async def show(request: Request) -> str:
        return ""

    assert document(app)["paths"]["/"]["get"]["responses"]["418"]["description"] != ""


class Gone(Problem, status=410): ...


def test_two_handlers_that_a_document_cannot_tell_apart_are_shown_as_one() -> None:
    app = App()

    @app.get("/items/{id:int}", raises=[Gone])
    async def by_number(id: int, page: int, limit: int = 1) -> dict[str, int]:
        return {"id": id}

    @app.get("/items/{id}")
    async def by_name(id: str, limit: str = "") -> str:
        return id

    @app.put("/items/{id:int}")
    async def put_number(id: int, item: dict[str, int]) -> dict[str, int]:
        return item

    @app.put("/items/{name}")
    async def put_name(name: str, item: Annotated[list[str], Body()]) -> dict[str, int]:
        return {}

    made = document(app)
    OpenAPIV31SpecValidator(made).validate()
    (path,) = made["paths"].values()
    get, put = path["get"], path["put"]
    assert get["operationId"] == "by_number"
    assert get["summary"] == "By number or By name"
    parameters = {one["name"]: (one["required"], one["schema"]) for one in get["parameters"]}
    assert parameters == {
        "id": (True, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        "page": (False, {"type": "integer"}),
        "limit": (
            False,
            {"anyOf": [{"type": "integer", "default": 1}, {"type": "string", "default": ""}]},
        ),
    }
    assert get["responses"]["200"]["content"].keys() == {
        *("application/json", "application/msgpack", "text/plain"),
    }
    assert "410" in get["responses"]
    body = put["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert [one["type"] for one in body] == ["object", "array"]
    assert put["responses"]["200"]["content"]["application/json"]["schema"]["type"] == "object"
