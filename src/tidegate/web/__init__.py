"""The web framework: routes to handlers by their types, on any ASGI server."""
