"""A Flask application as there are many: it knows nothing of Tidegate."""

from __future__ import annotations

import threading

from flask import Flask, Response, jsonify, request, url_for

__all__ = ["flask_app"]

flask_app = Flask("oldsite")


@flask_app.get("/")
def about() -> str:
    return f"<h1>The old site</h1><p>Since 1998.</p><a href='{url_for('greet')}'>A greeting</a>"


@flask_app.route("/greeting", methods=["GET", "POST"])
def greet() -> Response:
    name = request.values.get("name", "stranger")
    thread = threading.current_thread().name
    return jsonify(greeting=f"Hello, {name}", path=request.path, thread=thread)
