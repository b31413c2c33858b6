"""The socket application of these tests, written for Django Channels."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs

import django
import notebook
import sockets
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    USE_TZ=True,
)
django.setup()


class Consumer(AsyncWebsocketConsumer):
    """Has the arguments of the path at hand."""

    @property
    def arguments(self) -> dict[str, Any]:
        return self.scope["url_route"]["kwargs"]


class Echo(Consumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)


class ExchangeJson(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any) -> None:
        await self.send_json({"received": content})


class Chat(Consumer):
    async def connect(self) -> None:
        await self.accept(sockets.choose(self.scope["subprotocols"]))
        await self.send("welcome")
        await self.close()


class Refused(Consumer):
    async def connect(self) -> None:
        await self.close(4001, "not today")


class Farewell(Consumer):
    async def connect(self) -> None:
        await self.accept()
        await self.close(self.arguments["code"], "bis später")


class Listen(Consumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        notebook.note(self.arguments["key"], text_data or "")

    async def disconnect(self, code: int) -> None:
        notebook.note(self.arguments["key"], f"left with {code}")


class Flood(Consumer):
    async def connect(self) -> None:
        await self.accept()
        # Beside the consumer, which would hear of nothing while it sends.
        self.flooding = asyncio.ensure_future(self.flood())

    async def flood(self) -> None:
        async with aclosing(sockets.endless(self.arguments["key"])) as blocks:
            async for block in blocks:
                await self.send(block)

    async def disconnect(self, code: int) -> None:
        self.flooding.cancel()
        await asyncio.wait({self.flooding})


class Broken(Consumer):
    async def connect(self) -> None:
        if self.arguments["when"] == "open":
            await self.accept()
        raise RuntimeError("this handler is broken")


class Item(Consumer):
    async def connect(self) -> None:
        await self.accept()
        q = parse_qs(self.scope["query_string"].decode(), keep_blank_values=True)["q"]
        await self.send(json.dumps({**self.arguments, "q": q}))


class Meet(Consumer):
    async def connect(self) -> None:
        await self.accept()
        met = await notebook.meet(self.arguments["key"], self.arguments["parties"])
        await self.send(json.dumps(met))


class Room(Consumer):
    """With the groups of a channel layer, as the tutorial of Channels has it."""

    async def connect(self) -> None:
        await self.channel_layer.group_add(self.arguments["name"], self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        said = {"type": "room.said", "text": text_data}
        await self.channel_layer.group_send(self.arguments["name"], said)

    async def room_said(self, event: dict[str, Any]) -> None:
        await self.send(event["text"])

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.arguments["name"], self.channel_name)


async def read_notes(request: HttpRequest, key: str) -> HttpResponse:
    return JsonResponse(notebook.read_notes(key))


urlpatterns = [path("notes/<str:key>", read_notes)]
app = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter(
            [
                path("echo", Echo.as_asgi()),
                path("json", ExchangeJson.as_asgi()),
                path("chat", Chat.as_asgi()),
                path("refused", Refused.as_asgi()),
                path("farewell/<int:code>", Farewell.as_asgi()),
                path("listen/<str:key>", Listen.as_asgi()),
                path("flood/<str:key>", Flood.as_asgi()),
                path("broken/<str:when>", Broken.as_asgi()),
                path("items/<str:name>/<int:number>", Item.as_asgi()),
                path("meet/<str:key>/<int:parties>", Meet.as_asgi()),
                path("room/<str:name>", Room.as_asgi()),
            ]
        ),
    }
)
