"""What is an option?  The declaration of one setting, and what can be read from it.

A field of ``Config`` declared with ``option()`` is also an option of the
command line, a variable of the environment, a key of the configuration file
and a line of the reference.  This module knows which values an option takes
and how one is read from text.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from .toml import literal

__all__ = ["Option", "did_you_mean", "option", "options_of", "wrong_values"]

_TRUE = ("true", "1", "yes", "on", "t", "y")
_FALSE = ("false", "0", "no", "off", "f", "n")

# How an entry is written, for options that are pairs.
_FORMS = {
    "headers": "Name: value",
    "mounts": "PREFIX=TARGET",
    "ssl_sni_certs": "HOST=CERT,KEY",
    "static": "PREFIX=FOLDER",
}

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    dict: "a table",
    Sequence: "a list",
}


def option(
    default: Any,
    help: str,
    *,
    group: str = "Application",
    env: str = "",
    least: float | None = None,
    most: float | None = None,
    **more: Any,
) -> Any:
    """Declare a setting.

    ``env`` names a second environment variable that is read after our own.
    ``least`` and ``most`` bound a number.  Further keywords: ``flag`` replaces
    the name on the command line and ``also`` adds one; ``path`` says that the
    value is the path of a file or folder, or holds such; ``secret`` hides it;
    ``valued`` says that a yes or no is written out on the command line;
    ``instead`` gives words of other servers and the word of ours to read in
    their place.
    """
    metadata = {"help": help, "group": group, "env": env, "least": least, "most": most, **more}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    # What is secret must not get into a log by way of repr().
    return dataclasses.field(default=default, metadata=metadata, repr=not more.get("secret"))


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting, as the command line, the environment and the file know it."""

    name: str
    default: Any
    help: str
    group: str
    flags: tuple[str, ...]  # "--max-head-size", and other names for it
    variables: tuple[str, ...]  # of the environment, the first wins
    kinds: tuple[type, ...]  # of a value that is not None
    choices: tuple[str, ...]  # if it is one of a few words
    optional: bool  # may be None
    texts: bool  # a list of them
    meta: Mapping[str, Any]

    @property
    def pairs(self) -> str:
        """How an entry is written, such as ``PREFIX=TARGET``; empty if there are none."""
        return _FORMS.get(self.name, "")

    @property
    def negative(self) -> str:
        """The flag that says no, or nothing."""
        yes_or_no = self.kinds == (bool,) and not self.meta.get("valued")
        return f"--no-{self.flags[0][2:]}" if yes_or_no else ""

    @property
    def keys(self) -> set[str]:
        """What the configuration file may call it, dashes read as underscores."""
        return {self.name, *(flag[2:].replace("-", "_") for flag in self.flags)}

    def complaint(self, value: Any) -> str | None:
        """Say what is wrong with a value; None if nothing is."""
        if value is None and self.optional:
            return None
        if self.choices:
            wrong = value not in self.choices
            return f"must be one of {', '.join(self.choices)}, not {value!r}" if wrong else None
        if not self._fits(value):
            return f"must be {self._kinds()}, not {value!r}{self._unquoted(value)}"
        if self.texts and not all(type(item) is str for item in value):
            return f"must be a list of texts, not {value!r}"
        return self._bounds(value) if isinstance(value, int | float) else None

    def _fits(self, value: Any) -> bool:
        # Not isinstance: True is an int.
        kind = type(value)
        return (
            kind in self.kinds
            or (kind is int and float in self.kinds)
            or (Sequence in self.kinds and kind in (list, tuple))
        )

    def _kinds(self) -> str:
        return " or ".join(_WORDS.get(kind, kind.__name__) for kind in self.kinds)

    def _bounds(self, value: float) -> str | None:
        least, most = self.meta["least"], self.meta["most"]
        if value != value:
            return f"must be {self._kinds()}, not {value!r}"
        if most is not None and value > most:
            return f"must be at most {most}, not {value}"
        if least is not None and value < least:
            return f"must be at least {least}, not {value}"
        return None

    def _unquoted(self, value: Any) -> str:
        """Return a hint for a number, or a yes or no, that was written as text."""
        if isinstance(value, str) and not {bool, int, float}.isdisjoint(self.kinds):
            try:
                return f"; write {literal(self.parse(value))}, without quotes"
            except ValueError:
                pass
        return ""

    def parse(self, text: str) -> Any:
        """Read a value from a variable of the environment.

        Raises ``ValueError`` that says what is expected.  Whether the value
        makes sense is for ``complaint`` to say.
        """
        if self.pairs:
            return self.collected(self.pair(line) for line in text.splitlines() if line.strip())
        if self.texts:
            return [item.strip() for item in text.split(",") if item.strip()]
        if str in self.kinds or self.choices:
            return text
        if bool in self.kinds and text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        for kind in self.kinds:
            try:
                if kind in (int, float):
                    return kind(text)
            except ValueError:
                pass
        raise ValueError(f"must be {self._kinds()}, not {text!r}")

    def pair(self, text: str) -> tuple[str, str]:
        """Read one entry, such as ``Name: value`` or ``PREFIX=TARGET``."""
        name, found, value = text.partition("=" if "=" in self.pairs else ":")
        if not found:
            raise ValueError(f"{text!r} is not {self.pairs!r}")
        return name.strip(), value.strip()

    def collected(self, pairs: Iterable[Any]) -> Any:
        """Return entries as the value of this option."""
        return dict(pairs) if dict in self.kinds else list(pairs)


@cache
def options_of(config: type) -> dict[str, Option]:
    """Return the options that a dataclass declares, by name, in its order."""
    hints = typing.get_type_hints(config)
    return {
        each.name: _described(each, hints[each.name])
        for each in dataclasses.fields(config)
        if each.metadata
    }


def _described(each: dataclasses.Field[Any], hint: Any) -> Option:
    meta = each.metadata
    parts = [hint]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        parts = list(typing.get_args(hint))
    kinds = [typing.get_origin(part) or part for part in parts if part is not type(None)]
    has_choices = typing.Literal in kinds
    names = [meta.get("flag") or each.name.replace("_", "-"), meta.get("also")]
    default = each.default
    if each.default_factory is not dataclasses.MISSING:
        default = each.default_factory()
    return Option(
        name=each.name,
        default=default,
        help=meta["help"],
        group=meta["group"],
        flags=tuple(f"--{name}" for name in names if name),
        variables=tuple(name for name in (f"TIDEGATE_{each.name.upper()}", meta["env"]) if name),
        kinds=() if has_choices else tuple(kinds),
        choices=next((typing.get_args(each) for each in parts if _is_literal(each)), ()),
        optional=len(kinds) < len(parts),
        texts=hint == Sequence[str],
        meta=meta,
    )


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal


def wrong_values(record: Any) -> Iterator[tuple[str, str]]:
    """Yield name and complaint for the options of a dataclass that cannot be so.

    Words of other servers are replaced by ours on the way.
    """
    kind: type = type(record)
    for name, each in options_of(kind).items():
        value = getattr(record, name)
        if isinstance(value, str) and value in each.meta.get("instead", ()):
            value = each.meta["instead"][value]
            setattr(record, name, value)
        text = each.complaint(value)
        if text is not None:
            yield name, text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean ...?`` with the nearest known name, or nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
