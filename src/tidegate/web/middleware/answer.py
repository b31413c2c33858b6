"""How does middleware answer in the application's place, on a request or a handshake?"""

from __future__ import annotations

from ...asgi import Receive, Scope, Send
from ..headers import Pairs

__all__ = ["Response", "answer"]

Response = tuple[int, Pairs, bytes]
"""Status, ASGI headers and content, as ``problem_response`` returns them."""

# RFC 6455 section 7.4.1: a message that breaks a policy, the most general refusal.
_POLICY_VIOLATION = 1008


async def answer(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Send a response; a handshake is denied with it where the server can.

    Where it cannot, the socket is closed before it is accepted, which servers
    answer with 403 (ASGI WebSocket Denial Response extension).
    """
    status, headers, body = response
    prefix = ""
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in (scope.get("extensions") or ()):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        prefix = "websocket."
    await send({"type": f"{prefix}http.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": body})
