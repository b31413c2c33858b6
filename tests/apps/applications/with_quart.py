"""The application of these tests, written for Quart."""

from __future__ import annotations

from typing import Any

import notebook
from quart import Blueprint, Quart, Response, request, url_for

app = Quart(__name__)
# Quart's own limits: 16 MB and one minute.  Here the server's count.
app.config["MAX_CONTENT_LENGTH"] = None
app.config["BODY_TIMEOUT"] = None
sub = Blueprint("sub", __name__, url_prefix="/sub")


@app.before_serving
async def startup() -> None:
    notebook.write_diary("startup")


@app.after_serving
async def shutdown() -> None:
    notebook.write_diary("shutdown")


@app.get("/")
async def home() -> dict[str, Any]:
    return {"framework": "quart"}


@app.get("/items/<name>")
async def item(name: str) -> dict[str, Any]:
    return {"name": name, "q": request.args.getlist("q")}


@app.post("/json")
async def receive_json() -> dict[str, Any]:
    return {"received": await request.get_json()}


@app.get("/headers")
async def large_headers() -> tuple[dict[str, Any], dict[str, str]]:
    value = request.headers["x-large"]
    return {"size": len(value)}, {"x-large": value}


@app.post("/form")
async def form() -> dict[str, Any]:
    fields = await request.form
    files = await request.files
    return {"field": fields["field"], "file_size": len(files["file"].read())}


@app.post("/upload")
async def upload() -> dict[str, Any]:
    return await notebook.digest(request.body)


@app.get("/download/<key>/<int:count>")
async def download(key: str, count: int) -> Response:
    return Response(notebook.megabytes(key, count))


@app.get("/pieces/<key>")
async def pieces(key: str) -> Response:
    return Response(notebook.pieces(key))


@app.get("/endless/<key>")
async def endless(key: str) -> Response:
    return Response(notebook.endless(key))


@app.get("/idle/<key>")
async def idle(key: str) -> Response:
    response = Response(notebook.idle(key), content_type="text/event-stream")
    response.timeout = None
    return response


@app.get("/background/<key>")
async def background(key: str) -> dict[str, Any]:
    async def task() -> None:
        await notebook.pass_gate(key)
        notebook.note(key, "task ended")

    app.add_background_task(task)
    return {"task": "accepted"}


@app.get("/sync/<key>")
def in_thread(key: str) -> dict[str, Any]:
    return {"passed": notebook.pass_gate_in_thread(key)}


@app.get("/meet/<key>/<int:parties>")
async def meet(key: str, parties: int) -> dict[str, Any]:
    return await notebook.meet(key, parties)


@app.get("/where")
async def where() -> dict[str, Any]:
    return {"link": url_for("where", _external=True)}


@sub.get("/where")
async def where_below() -> dict[str, Any]:
    return {"link": url_for("sub.where_below", _external=True)}


@app.get("/broken")
async def broken() -> dict[str, Any]:
    raise RuntimeError("this view is broken")


@app.post("/gates/<key>")
async def open_gate(key: str) -> dict[str, Any]:
    return notebook.open_gate(key)


@app.get("/notes/<key>")
async def read_notes(key: str) -> dict[str, Any]:
    return notebook.read_notes(key)


app.register_blueprint(sub)
