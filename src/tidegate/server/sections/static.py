"""Which files the server serves by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ...errors import AppError
from ...http import field
from ..options import option

__all__ = ["StaticSettings"]


@dataclasses.dataclass(kw_only=True)
class StaticSettings:
    """Folders of files."""

    static: dict[str, str] = option(
        {},
        "Serve the files of a folder below a path: '/assets=./public'.",
        group="Static files",
        path=True,
    )
    static_fallthrough: bool = option(
        False, "Pass on to the application what is not in the folder.", group="Static files"
    )
    static_cache_control: str | None = option(
        None, "Cache-Control of these files: 'public, max-age=3600'.", group="Static files"
    )

    def static_complaints(self) -> Iterator[tuple[str, str, str]]:
        """Yield what cannot be served: the option, the complaint and the entry."""
        for prefix, folder in self.static.items():
            if not isinstance(prefix, str) or not prefix.startswith("/"):
                text = f"static: a prefix must start with '/', not {prefix!r}"
                yield "static", text, str(prefix)
            elif not isinstance(folder, str) or not folder:
                yield "static", f"static {prefix!r}: a folder is a text, not {folder!r}", prefix
        try:
            field(b"cache-control", (self.static_cache_control or "").encode("latin-1"))
        except (AppError, UnicodeEncodeError) as error:
            yield "static_cache_control", f"static_cache_control: {error}", ""
