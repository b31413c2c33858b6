"""Has a parameter and an answer of every kind that a document must describe."""

import enum
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
from msgspec import Meta, Struct

import tidegate
from tidegate import (
    App,
    Body,
    Cookie,
    Depends,
    FileResponse,
    Form,
    Header,
    HTMLResponse,
    JSONResponse,
    LastEventID,
    Path,
    Query,
    RedirectResponse,
    Request,
    Response,
    Router,
    Socket,
    StreamResponse,
    TextResponse,
    wsgi,
)

T = TypeVar("T")
UserId = NewType("UserId", int)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Point(Struct):
    """A place."""

    x: float
    y: float = 0.0
    when: datetime | None = None
    id: Annotated[uuid.UUID | None, Meta(description="Who", examples=["x"])] = None


class Circle(Struct, tag="circle"):
    center: Point
    radius: Annotated[float, Meta(gt=0)]


class Square(Struct, tag="square"):
    corner: Point
    side: float


class Tree(Struct):
    children: list["Tree"] = []


class Box(Struct, Generic[T]):
    content: T
    more: dict[str, T] = {}


@dataclass
class Person:
    name: str
    colors: set[Color] = field(default_factory=set)


@attrs.define
class Car:
    wheels: Annotated[int, Meta(ge=3)] = 4


class Settings(TypedDict, total=False):
    theme: Literal["dark", "light"]


class Pair(NamedTuple):
    first: int
    second: str


class Inner(pydantic.BaseModel):
    value: int = pydantic.Field(ge=1, description="A value")


class Model(pydantic.BaseModel):
    """A model."""

    name: str
    inner: Inner | None = None
    rest: list[Inner] = []


class Mixed(Struct):
    """A structure with a model in it."""

    model: Model


class Problem(Struct):
    """Not ours."""

    why: str


class Filters(Struct):
    q: str
    color: Color = Color.RED
    tags: list[str] = []


class Login(Struct):
    user: str
    password: Annotated[str, Meta(min_length=8)]


def colliding(number: int) -> type:
    """Two of these share their name."""
    return msgspec.defstruct(
        "Same", [(f"field{number}", int)], module=f"{__name__}.part{number}", kw_only=True
    )


Same1, Same2 = colliding(1), colliding(2)
SameModel = pydantic.create_model("Same", field3=(int, ...), __module__=f"{__name__}.part3")
SameModel2 = pydantic.create_model("Same", field4=(int, ...), __module__=f"{__name__}.part4")
PointModel = pydantic.create_model("Point", z=(int, ...))


class OutOfStock(tidegate.Problem, status=409, title="Out of stock"):
    pass


class Taken(tidegate.Problem, status=409, title="Taken"):
    pass


async def user(token: Annotated[str, Header("x-token", description="Who you are")]) -> str:
    return token


app = App(title="Every kind", version="2.1", description="All of it", tags=["all"])
app.security["key"] = {"type": "apiKey", "in": "header", "name": "x-key"}
app.security["oauth"] = {
    "type": "oauth2",
    "flows": {"clientCredentials": {"tokenUrl": "https://example.com/token", "scopes": {}}},
}
router = Router("/inner", tags=["inner"], dependencies=[Depends(user)])
app.include(router)


@app.get("/scalars/{id:int}/{rest:path}")
async def scalars(
    id: UserId,
    rest: str,
    text: str,
    color: Color,
    size: Size = Size.SMALL,
    number: float = 1.5,
    flag: bool = False,
    price: Decimal = Decimal("1.0"),
    when: datetime | None = None,
    kind: Literal["a", "b"] = "a",
    either: int | str = 1,
    many: list[int] = [],  # noqa: B006
) -> dict[str, int]:
    """Take scalars.

    More about it.
    """
    return {}


@app.get("/marked/{id}", deprecated=True, summary="Marked", description="Things", tags=["marks"])
async def marked(
    number: Annotated[int, Path("id", ge=1)],
    page: Annotated[int, Query("p", ge=1, le=9, description="Page", examples=[1, 2])] = 1,
    old: Annotated[str, Query(deprecated=True, title="Old")] = "",
    agent: Annotated[str | None, Header] = None,
    session: Annotated[str, Cookie("sid")] = "",
    all: Annotated[list[str], Header("x-all")] = [],  # noqa: B006
) -> None:
    """Not this."""


@app.get("/filtered")
async def filtered(filters: Annotated[Filters, Query()]) -> list[Point]:
    return []


@app.post("/struct", status=201, raises=[OutOfStock, Taken], security=["key", "oauth"])
async def struct(point: Point) -> Point:
    return point


@app.put("/dataclass")
async def dataclass_(person: Person) -> Person | None:
    return person


@app.patch("/attrs")
async def attrs_(car: Car) -> Car:
    return car


@app.post("/typeddict")
async def typeddict(settings: Settings) -> Settings:
    return settings


@app.post("/namedtuple")
async def namedtuple(pair: Pair) -> Pair:
    return pair


@app.post("/model")
async def model(model: Model) -> Model:
    return model


@app.post("/models")
async def models(models: list[Model]) -> dict[str, Inner]:
    return {}


@app.post("/union")
async def union(shape: Circle | Square) -> Circle | Square:
    return shape


@app.post("/tree")
async def tree(tree: Tree) -> Tree:
    return tree


@app.post("/generic")
async def generic(box: Box[int]) -> Box[Point]:
    return Box(Point(1))


@app.post("/same")
async def same(one: Same1) -> Same2:  # type: ignore[valid-type]
    return Same2(field2=1)


@app.post("/same/models")
async def same_models(one: SameModel) -> SameModel2:  # type: ignore[valid-type]
    return SameModel2(field4=1)


@app.post("/same/point")
async def same_point(one: PointModel) -> Problem:  # type: ignore[valid-type]
    return Problem("a")


@app.post("/mixed")
async def mixed(mixed: Mixed) -> Mixed:
    return mixed


@app.post("/form/fields")
async def form_fields(
    name: Annotated[str, Form(min_length=1)], age: Annotated[int, Form()] = 0
) -> str:
    return name


@app.post("/form/whole")
async def form_whole(login: Annotated[Login, Form()]) -> None: ...


@app.post("/raw/bytes")
async def raw_bytes(content: Annotated[bytes, Body()]) -> bytes:
    return content


@app.post("/raw/text")
async def raw_text(content: Annotated[str, Body()]) -> str:
    return content


@app.post("/example")
async def example(
    point: Annotated[Point, Body(description="Where", examples=[{"x": 1}])],
) -> Response[Point]:
    return Response(point)


@app.post("/optional")
async def optional(point: Point | None = None) -> Any:
    return point


@app.get("/html")
async def html() -> HTMLResponse:
    return HTMLResponse("<p>")


@app.get("/text")
async def text() -> TextResponse:
    return TextResponse("a")


@app.get("/json")
async def json() -> JSONResponse[list[int]]:
    return JSONResponse([1])


@app.get("/moved")
async def moved() -> RedirectResponse:
    return RedirectResponse("/html")


@app.get("/file")
async def file() -> FileResponse:
    return FileResponse(__file__)


@app.get("/stream")
async def stream() -> StreamResponse:
    return StreamResponse([b"a"], media_type="text/csv")


@app.get("/lines")
def lines() -> Iterator[Point]:
    yield Point(1)


@app.get("/chunks")
async def chunks() -> AsyncIterator[bytes]:
    yield b"a"


@app.get("/words")
async def words() -> AsyncIterator[str]:
    yield "a"


@app.get("/foreign")
async def foreign(request: Request):  # type: ignore[no-untyped-def]
    return {}


@app.route("/several", methods=["GET", "POST", "QUERY"])
async def several() -> list[tuple[int, str]]:
    return []


@router.get("/own")
async def own() -> list[Color]:
    return []


@app.get("/hidden", hidden=True)
async def hidden() -> None: ...


@app.sse("/events/{room}", security=["key"])
async def events(room: str, last: LastEventID = None) -> AsyncIterator[Circle | Square]:
    yield Circle(Point(1), 1)


@app.ws("/socket/{room:int}", tags=["talk"])
async def socket(room: int, sock: Socket[Circle | Square, Point]) -> None:
    """Talk about shapes."""


@app.ws("/raw")
async def raw(sock: Socket[str, bytes]) -> None: ...


@app.ws("/anything")
async def anything(sock: Socket[Any, str | bytes]) -> None: ...


@app.ws("/models")
async def model_socket(sock: Socket[Model, Inner]) -> None: ...


@app.ws("/hidden", hidden=True)
async def hidden_socket(sock: Socket[Any, Any]) -> None: ...


app.mount("/old", wsgi(lambda environ, start_response: []))
