"""From a path and a method to a compiled plan, and from a name to a path."""

from __future__ import annotations

from collections.abc import Iterable

from ..asgi import Application, Receive, Scope, Send
from ..errors import ConfigError
from .annotations import place_of
from .plan import Plan
from .router import Mount
from .table import Table, Template, parse_template

__all__ = [
    "Endpoint",
    "Routes",
    "Target",
    "problems_of",
]


class Target:
    """One method of one path: its plan, and ``app`` if there is middleware around the plan."""

    __slots__ = ("app", "names", "plan")

    def __init__(self, plan: Plan, names: list[str], app: Application) -> None:
        self.plan = plan
        self.names = names
        self.app = None if app is plan else app

    def params(self, values: list[str]) -> dict[str, str]:
        """Return the parameters of the path by name."""
        if len(values) == 1:
            return {self.names[0]: values[0]}
        return dict(zip(self.names, values, strict=True)) if values else {}


class Endpoint:
    """All that is at one path."""

    __slots__ = ("allow", "methods", "mount", "mount_app", "socket")

    def __init__(self) -> None:
        self.methods: dict[str, Target] = {}
        self.socket: Target | None = None
        self.mount: Mount | None = None
        self.mount_app: Application | None = None
        self.allow = ""

    def add(self, method: str, target: Target) -> None:
        """Add a method.  Raises ``ConfigError`` if it is there already."""
        known = self.methods.get(method)
        if known is not None:
            raise ConfigError(
                f"{method} {target.plan.route.path} has two handlers: "
                f"{place_of(known.plan.route.handler)} and {place_of(target.plan.route.handler)}"
            )
        self.methods[method] = target

    def settle(self) -> None:
        """All methods are there: add HEAD, and say which are allowed (RFC 9110 section 10.2.1)."""
        if "GET" in self.methods:
            self.methods.setdefault("HEAD", self.methods["GET"])
        self.allow = ", ".join(sorted({*self.methods, "OPTIONS"})) if self.methods else ""


class Routes:
    """The endpoints of an application, found by path."""

    def __init__(self) -> None:
        self.table: Table[Endpoint] = Table(Endpoint)
        self.endpoints: list[Endpoint] = []
        self.names: dict[str, Template] = {}

    def add(self, plan: Plan, app: Application) -> None:
        """Serve what a plan's route says."""
        route = plan.route
        template = parse_template(route.path)
        endpoint = self.table.at(template)
        if endpoint not in self.endpoints:
            self.endpoints.append(endpoint)
        target = Target(plan, template.names, app)
        if route.kind == "websocket":
            if endpoint.socket is not None:
                raise ConfigError(f"two handlers for the WebSocket {route.path}")
            endpoint.socket = target
        for method in sorted(route.methods):
            endpoint.add(method, target)
        self.names.setdefault(route.name, template)

    def mount(self, mount: Mount, app: Application) -> None:
        """Serve everything at and below a path with an application."""
        template = parse_template(mount.path)
        endpoint = self.table.mount(template)
        if endpoint.mount is not None:
            raise ConfigError(f"two applications are mounted at {mount.path}")
        endpoint.mount = mount
        endpoint.mount_app = app
        if mount.name:
            self.names.setdefault(mount.name, template)

    def settle(self) -> None:
        """All routes are there."""
        for endpoint in self.endpoints:
            endpoint.settle()

    def target(self, path: str, method: str) -> tuple[Target, list[str]] | Endpoint | None:
        """Return who serves a method at a path, or the endpoint that does not, or None."""
        static = self.table.static.get(path)
        if static is not None:
            target = static.methods.get(method)
            if target is not None:
                return target, []
        # '/items/new' may take POST only, and '/items/{id}' GET.
        found = self.table.find_dynamic(path)
        if found is not None:
            target = found[0].methods.get(method)
            if target is not None:
                return target, found[1]
        endpoint = static or (found and found[0])
        return endpoint if endpoint is not None and endpoint.methods else None

    async def serve_mount(self, path: str, scope: Scope, receive: Receive, send: Send) -> bool:
        """Serve with a mounted application, if one is over this path."""
        found = self.table.find_mount(path)
        if found is None or found[0].mount_app is None:
            return False
        endpoint, values, prefix = found
        mount, app = endpoint.mount, endpoint.mount_app
        inner = dict(scope)
        inner["root_path"] = scope.get("root_path", "") + prefix
        if mount is not None and values:
            names = parse_template(mount.path).names
            inner["path_params"] = dict(zip(names, values, strict=True))
        if app is not None:
            await app(inner, receive, send)
        return True


def problems_of(errors: Iterable[ConfigError]) -> ConfigError | None:
    """Return one error that says all of them; None if there is none."""
    texts = [str(error) for error in errors]
    if not texts:
        return None
    if len(texts) == 1:
        return ConfigError(texts[0])
    return ConfigError("\n".join([f"{len(texts)} things are wrong:", *(f"- {t}" for t in texts)]))
