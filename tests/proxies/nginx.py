"""A real nginx for one test: free ports, a folder of its own, stopped by its process."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.authority import Files

__all__ = ["documented", "nginx"]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "behind-a-proxy.md"
MODULES = Path("/usr/lib/nginx/modules")

# Where it would otherwise write, outside of its folder.
PLACES = "client_body_temp proxy_temp fastcgi_temp uwsgi_temp scgi_temp"


def documented(number: int) -> str:
    """Return a configuration as the documentation has it."""
    found = re.findall(r"^```nginx\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found[number])


@contextmanager
def nginx(folder: Path, text: str, upstream: str, files: Files | None = None) -> Iterator[int]:
    """Run nginx with a documented configuration in front of ``upstream``; yield its port."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    if text.startswith("stream") and not (MODULES / "ngx_stream_module.so").exists():
        pytest.skip("libnginx-mod-stream is not installed")
    for _ in range(5):
        port = _free_port()
        config = folder / "nginx.conf"
        config.write_text(_whole(folder, _adapted(text, port, upstream, files)))
        command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
        process = subprocess.Popen(command)
        try:
            if _listens(process, port):
                yield port
                return
        finally:
            process.terminate()
            process.wait(20)
        if "Address already in use" not in (folder / "error.log").read_text():
            break
    pytest.fail(f"nginx did not start:\n{(folder / 'error.log').read_text()}")


def _adapted(text: str, port: int, upstream: str, files: Files | None) -> str:
    """Replace what is particular to the reader's machine."""
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
    text = text.replace("unix:/run/tidegate.sock", upstream)
    if files is not None:
        text = text.replace("/etc/ssl/example.org.pem", files.certfile)
        text = text.replace("/etc/ssl/example.org.key", files.keyfile)
    return text


def _whole(folder: Path, text: str) -> str:
    lines = ["daemon off;", "worker_processes 1;", f"pid {folder}/nginx.pid;"]
    lines.append(f"error_log {folder}/error.log info;")
    if os.geteuid() == 0:
        # The folders of tests are for nobody else.
        lines.append("user root;")
    if text.startswith("stream"):
        lines.append(f"load_module {MODULES}/ngx_stream_module.so;")
        return "\n".join([*lines, "events {}", text])
    places = [f"{name}_path {folder}/{name};" for name in PLACES.split()]
    inner = "\n".join([*places, "access_log off;", text])
    return "\n".join([*lines, "events {}", f"http {{\n{inner}}}"])


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Say whether it accepts connections; False if it has ended."""
    pause = threading.Event()
    for _ in range(1000):
        if process.poll() is not None:
            return False
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            pause.wait(0.02)
    return False
