"""A small Flask application; its asynchronous views tell which loop they run on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from flask import Flask, Response, abort, redirect, request, send_file, session, url_for
from werkzeug.wrappers import Response as AnyResponse

FILES = Path(os.environ["FILES"])

app = Flask(__name__, static_folder=str(FILES), static_url_path="/static")
app.secret_key = "only for tests"


# Held on to, so that none takes the place of another in memory.
loops: list[asyncio.AbstractEventLoop] = []


def number_of(loop: asyncio.AbstractEventLoop) -> int:
    if loop not in loops:
        loops.append(loop)
    return loops.index(loop)


@app.get("/")
def home() -> dict[str, object]:
    return {"args": request.args.to_dict(flat=False), "url": request.url, "path": request.path}


@app.route("/environ/<path:_>", methods=["GET", "POST", "OPTIONS", "DELETE"])
def environ(_: str) -> dict[str, str]:
    """Show what the server said about the request."""
    names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH")
    shown = {name: request.environ[name] for name in names if name in request.environ}
    shown |= {name: v for name, v in request.environ.items() if name.startswith("HTTP_")}
    shown["scheme"] = request.environ["wsgi.url_scheme"]
    shown["method"] = request.environ["REQUEST_METHOD"]
    shown["raw"] = request.environ["RAW_URI"]
    shown["client"] = request.environ["REMOTE_ADDR"]
    shown["protocol"] = request.environ["SERVER_PROTOCOL"]
    return shown


@app.post("/form")
def form() -> dict[str, object]:
    files = {n: [f.filename, sha256(f.read()).hexdigest()] for n, f in request.files.items()}
    return {"form": request.form.to_dict(flat=False), "files": files}


@app.post("/json")
def receive_json() -> dict[str, object]:
    return {"received": request.get_json()}


@app.post("/upload")
def upload() -> dict[str, object]:
    data = request.get_data()
    return {"size": len(data), "sha256": sha256(data).hexdigest()}


@app.get("/count")
def count() -> dict[str, int]:
    session["count"] = session.get("count", 0) + 1
    return {"count": session["count"]}


@app.get("/forget")
def forget() -> str:
    session.clear()
    return "forgotten"


@app.get("/leave")
def leave() -> AnyResponse:
    response = redirect(url_for("home", after="leave"))
    response.set_cookie("one", "1", httponly=True)
    response.set_cookie("two", "2", max_age=60)
    return response


@app.get("/file")
def file() -> Response:
    return send_file(FILES / "large.bin", conditional=True)


@app.get("/stream")
def stream() -> Response:
    def pieces() -> Iterator[bytes]:
        for n in range(50):
            yield b"%d\n" % n * 1000

    return Response(pieces(), mimetype="text/plain")


@app.get("/status/<int:code>")
def status(code: int) -> tuple[str, str]:
    return "", f"{code} Something Of Our Own"


@app.get("/empty")
def empty() -> tuple[str, int]:
    return "", 204


@app.get("/gone")
def gone() -> None:
    abort(410)


@app.get("/broken")
def broken() -> str:
    raise RuntimeError("this view is broken")


@app.get("/loop")
async def loop() -> dict[str, int]:
    await asyncio.sleep(0)
    return {"loop": number_of(asyncio.get_running_loop())}
