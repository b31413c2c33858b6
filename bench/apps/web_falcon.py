"""The framework rows on Falcon: nothing is validated but the numbers."""

from __future__ import annotations

from falcon import sync_to_async
from falcon.asgi import App, Request, Response

__all__ = ["app"]


class Plain:
    """Text."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer with text."""
        resp.content_type = "text/plain"
        resp.text = "Hello, world!"


class Item:
    """One item."""

    async def on_get(self, req: Request, resp: Response, id: int) -> None:
        """Answer with two parameters."""
        resp.media = {"id": id, "page": req.get_param_as_int("page", default=1)}


class Items:
    """All items."""

    async def on_post(self, req: Request, resp: Response) -> None:
        """Answer with the content."""
        resp.media = await req.get_media()


class Sync:
    """A plain function."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer from a plain function, in a thread."""
        id = req.get_param_as_int("id", default=0)
        resp.media = await sync_to_async(_plain_function, id)


def _plain_function(id: int) -> dict[str, int]:
    return {"id": id}


app = App()
app.add_route("/plain", Plain())
app.add_route("/items/{id:int}", Item())
app.add_route("/items", Items())
app.add_route("/sync", Sync())
