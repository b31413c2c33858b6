"""A small Pyramid application."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPGone
from pyramid.request import Request
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory
from pyramid.view import view_config

FILES = Path(os.environ["FILES"])


@view_config(route_name="home", renderer="json")
def home(request: Request) -> dict[str, object]:
    return {"query": list(request.GET.items()), "url": request.url}


@view_config(route_name="form", renderer="json", request_method="POST")
def form(request: Request) -> dict[str, object]:
    fields = {
        name: [value.filename, sha256(value.file.read()).hexdigest()]
        if hasattr(value, "file")
        else value
        for name, value in request.POST.items()
    }
    return {"fields": fields}


@view_config(route_name="json", renderer="json", request_method="POST")
def receive_json(request: Request) -> dict[str, object]:
    return {"received": request.json_body}


@view_config(route_name="upload", renderer="json", request_method="POST")
def upload(request: Request) -> dict[str, object]:
    data = request.body_file.read()
    return {"size": len(data), "sha256": sha256(data).hexdigest()}


@view_config(route_name="count", renderer="json")
def count(request: Request) -> dict[str, int]:
    request.session["count"] = request.session.get("count", 0) + 1
    return {"count": request.session["count"]}


@view_config(route_name="leave")
def leave(request: Request) -> Response:
    return HTTPFound(location=request.route_url("home", _query={"after": "leave"}))


@view_config(route_name="file")
def file(request: Request) -> Response:
    response = FileResponse(str(FILES / "large.bin"), request=request)
    response.conditional_response = True
    response.accept_ranges = "bytes"
    return response


@view_config(route_name="stream")
def stream(request: Request) -> Response:
    def pieces() -> Iterator[bytes]:
        for n in range(50):
            yield b"%d\n" % n * 1000

    return Response(app_iter=pieces(), content_type="text/plain")


@view_config(route_name="gone")
def gone(request: Request) -> Response:
    raise HTTPGone("gone for good")


@view_config(route_name="broken")
def broken(request: Request) -> Response:
    raise RuntimeError("this view is broken")


def make_app() -> object:
    with Configurator(session_factory=SignedCookieSessionFactory("only for tests")) as config:
        for name in ("form", "json", "upload", "count", "leave", "file", "stream", "gone"):
            config.add_route(name, f"/{name}")
        config.add_route("broken", "/broken")
        config.add_route("home", "/")
        config.add_static_view("static", str(FILES))
        config.scan(__name__)
        return config.make_wsgi_app()


app = make_app()
