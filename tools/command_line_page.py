"""Write docs/reference/command-line.md from the options that the program has.

python tools/command_line_page.py
"""

from __future__ import annotations

from pathlib import Path

from tidegate.cli.settings import options_table

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "command-line.md"

_INTRODUCTION = """\
# Command line

`tidegate run TARGET` serves an application; `TARGET` is `module:attribute`.
`python -m tidegate` is the same program. `tidegate check` and `tidegate config` take the
same arguments: see [Configuration](configuration.md). So does `tidegate dev`: see
[Develop with reload](../how-to/develop-with-reload.md).

Each option can also be set in the environment, `TIDEGATE_` and its name in capitals, and in
`tidegate.toml`: `--log-level debug` is `TIDEGATE_LOG_LEVEL=debug` or `log_level = "debug"`.
Where uvicorn has the option, the name is uvicorn's.

Exit status: 0 after a graceful stop, 2 for a setting or a target that cannot be used, 3 if
the application did not start.

"""


def page() -> str:
    """Return what the page must say."""
    return _INTRODUCTION + options_table()


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
