"""The demo: notes in SQLite, a chat room, an event stream, a process, an old Flask site.

    tidegate run demo:app --app-dir examples

``page.html`` uses all of it; ``/docs`` documents it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tidegate import (
    App,
    Depends,
    FileResponse,
    Hub,
    LastEventID,
    Problem,
    Query,
    Socket,
    wsgi,
)

from .oldsite import flask_app
from .tables import Note, Table

__all__ = ["app"]

PAGE = Path(__file__).parent / "page.html"

app = App(
    title="Tidegate demo",
    version="1.0",
    description="Notes, a chat room, a stream of what happens, and work for a process.",
)


# -- notes: SQLite through SQLAlchemy, one transaction a request ---------------

Id = Annotated[int, Meta(ge=1, le=2**63 - 1, description="What SQLite can count to")]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class NewNote(Struct):
    """What a client writes."""

    text: Text
    urgent: bool = False


class SavedNote(Struct):
    """What is in the table."""

    id: int
    text: str
    urgent: bool


class Page(Struct):
    """Some of the notes, the newest first, and how many there are."""

    notes: list[SavedNote]
    total: int


class NoSuchNote(Problem, status=404, title="No such note"):
    """Nobody wrote it, or somebody deleted it."""


@app.resource
async def engine() -> AsyncIterator[AsyncEngine]:
    """Open a database that is gone when the server stops."""
    with TemporaryDirectory(prefix="tidegate-demo-") as folder:
        engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/notes.db")
        async with engine.begin() as connection:
            await connection.run_sync(Table.metadata.create_all)
        yield engine
        await engine.dispose()


@app.resource(scope="request")
async def session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """Commit before the answer is sent, so that a failed commit is not a success."""
    async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
        yield session


async def wanted_note(id: Id, session: AsyncSession) -> Note:
    note = await session.get(Note, id)
    if note is None:
        raise NoSuchNote(f"there is no note {id}")
    return note


def saved(note: Note) -> SavedNote:
    return msgspec.convert(note, SavedNote, from_attributes=True)


@app.get("/notes", tags=["notes"])
async def list_notes(
    session: AsyncSession,
    search: Annotated[str, Query(description="Part of the text")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Page:
    """List notes, the newest first."""
    found = select(Note).where(Note.text.contains(search, autoescape=True))
    total = await session.scalar(select(func.count()).select_from(found.subquery()))
    notes = await session.scalars(found.order_by(Note.id.desc()).limit(limit))
    return Page([saved(note) for note in notes], total or 0)


@app.post("/notes", status=201, tags=["notes"])
async def add_note(new: NewNote, session: AsyncSession, hub: Hub) -> SavedNote:
    """Write a note."""
    note = Note(text=new.text, urgent=new.urgent)
    session.add(note)
    await session.flush()
    await report(hub, "note", f"{new.text!r} was written")
    return saved(note)


@app.get("/notes/{id}", raises=[NoSuchNote], tags=["notes"])
async def show_note(note: Annotated[Note, Depends(wanted_note)]) -> SavedNote:
    """Show one note."""
    return saved(note)


@app.delete("/notes/{id}", raises=[NoSuchNote], tags=["notes"])
async def delete_note(
    note: Annotated[Note, Depends(wanted_note)], session: AsyncSession, hub: Hub
) -> None:
    """Delete a note."""
    await session.delete(note)
    await report(hub, "note", f"{note.text!r} was deleted")


# -- a chat room: a typed socket, and everybody who is in the room -------------


class Say(Struct):
    """What a client sends."""

    text: Text


class Said(Struct):
    """What everybody in the room gets; ``who`` is empty for what nobody said."""

    text: str
    who: str = ""


@app.ws("/rooms/{room}", heartbeat=20)
async def chat(
    room: str,
    socket: Socket[Say, Said],
    hub: Hub,
    name: Annotated[str, Query(min_length=1, max_length=20)] = "somebody",
) -> None:
    """Talk with everybody in a room."""
    async with hub.join(room_name(room), socket):
        await hub.publish(room_name(room), Said(f"{name} is here"))
        async for said in socket:  # ends when the browser leaves
            await hub.publish(room_name(room), Said(said.text, name))
            await report(hub, "chat", f"{name} said something in {room}")
    await hub.publish(room_name(room), Said(f"{name} has left"))


def room_name(room: str) -> str:
    return f"room:{room}"


# -- what happens: server-sent events, resumed where a client lost them --------


class Happening(Struct):
    """Something happened; ``at`` is in seconds since 1970."""

    kind: str
    text: str
    at: float


async def report(hub: Hub, kind: str, text: str) -> None:
    await hub.publish("happenings", Happening(kind, text, time.time()))


@app.sse("/happenings", tags=["happenings"])
async def happenings(hub: Hub, last: LastEventID = None) -> AsyncIterator[Happening]:
    """Follow what happens, from the last event a browser has seen."""
    async for happening in hub.subscribe("happenings", Happening, after=last):
        yield happening


# -- work for a processor: in another process, so that the loop stays free -----


class Primes(Struct):
    """How many primes there are up to a number, and the largest."""

    count: int
    largest: int | None
    seconds: float


@app.get("/primes/{limit}", run="process", timeout=30, tags=["work"])
def primes(limit: Annotated[int, Meta(ge=0, le=5_000_000)]) -> Primes:
    """Find all primes up to a limit, with the sieve of Eratosthenes."""
    began = time.perf_counter()
    sieve = bytearray(b"\x01") * (limit + 1)
    sieve[:2] = bytes(len(sieve[:2]))
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(sieve[number * number :: number]))
    largest = sieve.rfind(1)
    return Primes(sieve.count(1), largest if largest >= 0 else None, time.perf_counter() - began)


# -- the rest --------------------------------------------------------------------


@app.get("/", hidden=True)
async def index() -> FileResponse:
    return FileResponse(PAGE)


# A WSGI application keeps running, in threads of its own, while its pages move out one by one.
app.mount("/old", wsgi(flask_app, threads=4))
