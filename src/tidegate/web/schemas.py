"""JSON Schema of the types of an application, each named structure once (JSON Schema 2020-12)."""

from __future__ import annotations

import inspect
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
                    plain, schema_hook=_schema_hook, ref_template=_TEMPLATE
                )
            except (TypeError, NotImplementedError) as error:
                raise ConfigError(f"a type has no JSON Schema: {error}") from None
            self.components.update(components)
            self._remember(plain, made)
        self._remember(models, [self._of_model(hint) for hint in models])

    @staticmethod
    def _is_model(hint: Any) -> bool:
        return models_in(hint) and not structures_in(hint)

    def _remember(self, hints: Iterable[Any], schemas: Iterable[dict[str, Any]]) -> None:
        for hint, schema in zip(hints, schemas, strict=True):
            self._by_hint[id(hint)] = schema

    def _of_model(self, hint: Any) -> dict[str, Any]:
        adapter = sys.modules["pydantic"].TypeAdapter(hint)
        schema: dict[str, Any] = adapter.json_schema(ref_template=_TEMPLATE.format(name="{model}"))
        self.components.update(schema.pop("$defs", {}))
        if inspect.isclass(hint) and schema.get("type") == "object":
            self.components[hint.__name__] = schema
            return {"$ref": _TEMPLATE.format(name=hint.__name__)}
        return schema

    def of(self, hint: Any) -> dict[str, Any]:
        """Return the schema of a type that was wanted."""
        return dict(self._by_hint[id(hint)])


def _schema_hook(hint: Any) -> dict[str, Any]:
    if models_in(hint):
        schema: dict[str, Any] = sys.modules["pydantic"].TypeAdapter(hint).json_schema()
        return schema
    raise NotImplementedError(f"{hint!r}")
