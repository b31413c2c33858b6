"""Tests that use the client, with and without coroutines."""

from __future__ import annotations

from typing import assert_type

from msgspec import Struct

from tidegate import App
from tidegate.testing import AsyncClient, Client, Reply, client


class Item(Struct):
    name: str


app = App()


def test_plainly() -> None:
    with client(app, override={Item: Item("a")}, headers={"x-a": "1"}) as c:
        assert_type(c, Client)
        reply = c.post("/items", json={"name": "a"}, params={"q": "1"}, headers={"x-b": "2"})
        assert_type(reply, Reply)
        assert_type(reply.status, int)
        assert_type(reply.json(Item), Item)
        with c.ws("/rooms/a") as socket:
            socket.send(Item("a"))
            assert socket.receive() == Item("a")


async def test_in_a_coroutine() -> None:
    async with client(app) as c:
        assert_type(c, AsyncClient)
        assert_type((await c.get("/")).text, str)
        async with c.ws("/rooms/a") as socket:
            await socket.send("a")
