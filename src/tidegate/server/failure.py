"""What does the browser see while the application cannot be started?

During development only: the page shows source code.
"""

from __future__ import annotations

import json
import traceback
from html import escape

from ..asgi import Receive, Scope, Send

__all__ = ["FailurePage", "described"]

_TITLE = "The application did not start"
_ADVICE = "Tidegate starts it again when a file changes."

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif }}
body {{ margin: 2rem auto; max-width: 70rem; padding: 0 1rem }}
h1 {{ font-size: 1.3rem }}
.reason {{ color: light-dark(#b00020, #ff8a80); font-weight: 600; overflow-wrap: anywhere }}
pre {{ background: light-dark(#f4f4f4, #1e1e1e); overflow-x: auto; padding: 1rem }}
</style>
<h1>{title}</h1>
<p class="reason">{reason}</p>
<pre>{text}</pre>
<p>{advice}</p>
</html>
"""


def described(error: BaseException) -> str:
    """Return what a developer needs to see of a failed start: a traceback, where there is one."""
    if isinstance(error, SystemExit):
        return "".join(traceback.format_exception(error))
    if error.__cause__ is not None:
        return "".join(traceback.format_exception(error.__cause__))
    text = f"{error}\n"
    if isinstance(error.__context__, SyntaxError):
        text += "\n" + "".join(traceback.format_exception_only(error.__context__))
    return text


class FailurePage:
    """An ASGI application that answers 503 with what went wrong.

    HTML for browsers, a problem document (RFC 9457) for everybody else.
    """

    def __init__(self, text: str) -> None:
        """Take a traceback, or a sentence."""
        self.text = text.strip()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503; refuse sockets."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1011})
            return
        accepted = [value for name, value in scope["headers"] if name == b"accept"]
        is_browser = any(b"text/html" in value for value in accepted)
        content = self._page() if is_browser else self._problem()
        kind = b"text/html; charset=utf-8" if is_browser else b"application/problem+json"
        headers = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(content)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _reason(self) -> str:
        return self.text.rpartition("\n")[2].strip()

    def _page(self) -> bytes:
        return _PAGE.format(
            title=_TITLE, reason=escape(self._reason()), text=escape(self.text), advice=_ADVICE
        ).encode()

    def _problem(self) -> bytes:
        problem = {
            "title": _TITLE,
            "status": 503,
            "detail": self._reason(),
            "traceback": self.text.splitlines(),
        }
        return json.dumps(problem).encode()
