"""What the shop had before: a database, users, mail, and a Flask application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from flask import Flask
from msgspec import Struct

if TYPE_CHECKING:
    from shop import Item

flask_app = Flask("oldshop")


@flask_app.get("/about")
def about() -> str:
    return "Since 1998"


class User(Struct):
    name: str
    email: str


class DB:
    """A database that counts who has it open."""

    open_now = 0

    def __init__(self) -> None:
        self.items: list[Item] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls) -> AsyncIterator[DB]:
        cls.open_now += 1
        try:
            yield cls()
        finally:
            cls.open_now -= 1

    async def user(self, token: str) -> User | None:
        return User(token, f"{token}@example.com") if token else None

    async def item(self, id: int, page: int) -> Item:
        if not 0 <= id < len(self.items):
            raise KeyError(id)
        return self.items[id]

    async def add(self, item: Item) -> None:
        self.items.append(item)

    def all_sync(self) -> list[Item]:
        return self.items


class FakeDB(DB):
    """A database for tests, to which everybody is known."""

    async def user(self, token: str) -> User | None:
        return User(token, f"{token}@example.com")


sent: list[tuple[str, str]] = []


def send_mail(address: str, text: str) -> None:
    sent.append((address, text))
