"""JSON Schema of the types of an application, each named structure once (JSON Schema 2020-12)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from ..errors import ConfigError
from .kinds import models_in, structures_in

__all__ = ["Schemas"]

_TEMPLATE = "#/components/schemas/{name}"


class Schemas:
    """Collects types, then makes their schemas together, so that names are settled once."""

    def __init__(self) -> None:
        self._wanted: list[Any] = []
        self._by_hint: dict[int, dict[str, Any]] = {}
        self.components: dict[str, Any] = {}

    def want(self, hint: Any) -> None:
        """Say that the schema of a type will be asked for."""
        if not any(hint is known for known in self._wanted):
            self._wanted.append(hint)

    def make(self) -> None:
        """Make all schemas.  Raises ``ConfigError`` for a type that has none."""
        plain = [hint for hint in self._wanted if not self._is_model(hint)]
        models = [hint for hint in self._wanted if self._is_model(hint)]
        if plain:
            try:
                made, components = msgspec.json.schema_components(
                    plain, schema_hook=self._of_inner_model, ref_template=_TEMPLATE
                )
            except (TypeError, NotImplementedError) as error:
                raise ConfigError(f"a type has no JSON Schema: {error}") from None
            self.components.update(components)
            self._remember(plain, made)
        if models:
            self._remember(models, self._of_models(models))

    @staticmethod
    def _is_model(hint: Any) -> bool:
        return models_in(hint) and not structures_in(hint)

    def _remember(self, hints: Iterable[Any], schemas: Iterable[dict[str, Any]]) -> None:
        for hint, schema in zip(hints, schemas, strict=True):
            self._by_hint[id(hint)] = schema

    def _of_models(self, hints: list[Any]) -> list[dict[str, Any]]:
        """Return the schemas of pydantic models; their names are settled by pydantic."""
        pydantic = sys.modules["pydantic"]
        inputs = [(at, "validation", pydantic.TypeAdapter(hint)) for at, hint in enumerate(hints)]
        # A struct may have the name of a model.
        for prefix in ("", "pydantic."):
            template = _TEMPLATE.format(name=f"{prefix}{{model}}")
            made, rest = pydantic.TypeAdapter.json_schemas(inputs, ref_template=template)
            found = {f"{prefix}{name}": one for name, one in rest.get("$defs", {}).items()}
            if all(self.components.get(name, one) == one for name, one in found.items()):
                break
        self.components.update(found)
        return [made[at, "validation"] for at in range(len(hints))]

    def _of_inner_model(self, hint: Any) -> dict[str, Any]:
        """Return the schema of what msgspec does not know."""
        if models_in(hint):
            return self._of_models([hint])[0]
        if hint is object:
            return {"description": "Anything"}
        raise NotImplementedError(f"{hint!r}")

    def of(self, hint: Any) -> dict[str, Any]:
        """Return the schema of a type that was wanted."""
        return dict(self._by_hint[id(hint)])

    def name(self, wanted: str) -> str:
        """Return a name for a schema of the framework's own, which no type of the user has."""
        while wanted in self.components:
            wanted = f"tidegate.{wanted}"
        return wanted
