"""A small Bottle application."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256

from bottle import Bottle, abort, redirect, request, response, static_file

app = Bottle()
SECRET = "only for tests"


@app.get("/")
def home() -> dict[str, object]:
    query = {name: request.query.getall(name) for name in request.query}
    return {"query": query, "url": request.url}


@app.post("/form")
def form() -> dict[str, object]:
    files = {
        n: [f.raw_filename, sha256(f.file.read()).hexdigest()] for n, f in request.files.items()
    }
    return {"form": dict(request.forms), "files": files}


@app.post("/json")
def receive_json() -> dict[str, object]:
    return {"received": request.json}


@app.post("/upload")
def upload() -> dict[str, object]:
    data = request.body.read()
    return {"size": len(data), "sha256": sha256(data).hexdigest()}


@app.get("/count")
def count() -> str:
    # Bottle signs without a time, so that this cookie is compared too.
    seen = int(request.get_cookie("count", "0", secret=SECRET)) + 1
    response.set_cookie("count", str(seen), secret=SECRET)
    return f"{seen}"


@app.get("/leave")
def leave() -> None:
    redirect("/?after=leave")


@app.get("/static/<name>")
def static(name: str) -> object:
    return static_file(name, root=os.environ["FILES"])


@app.get("/stream")
def stream() -> Iterator[bytes]:
    response.content_type = "text/plain"
    for n in range(50):
        yield b"%d\n" % n * 1000


@app.get("/gone")
def gone() -> None:
    abort(410, "gone for good")


@app.get("/broken")
def broken() -> str:
    raise RuntimeError("this view is broken")
