"""The same figures as a picture: one panel per ranked figure, shortest bar best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import BenchError
from .report import Facts, Standing, number, standings
from .rows import Figure, Row
from .run import Outcome
from .servers import Server

__all__ = ["draw"]

OURS = "#0b6e8f"
PEER = "#b8bfc6"
WIDTH = 4.6
PANELS_ACROSS = 2


def draw(
    facts: Facts,
    rows: Sequence[Row],
    servers: Sequence[Server],
    outcome: Outcome,
    path: Path,
) -> None:
    """Write a PNG.  Raises ``BenchError`` if matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        raise BenchError(
            "matplotlib is not installed, so there is no plot;"
            " `pip install -r bench/requirements.txt` brings it"
        ) from None
    panels = [
        (row, figure, found)
        for row in rows
        for figure in row.figures
        if figure.ranked and (found := standings(row, figure, servers, outcome))
    ]
    if not panels:
        return
    across = min(PANELS_ACROSS, len(panels))
    down = -(-len(panels) // across)
    height = 0.9 + 0.24 * max(len(found) for _, _, found in panels)
    canvas = Canvas(figsize=(WIDTH * across, height * down + 0.6), layout="constrained")
    FigureCanvasAgg(canvas)
    grid = canvas.subplots(down, across, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        bars(axes, *panel)
    for axes in list(grid.flat)[len(panels) :]:
        axes.axis("off")
    canvas.suptitle(f"Shorter is better. {facts.date}, {facts.python}", fontsize=9)
    canvas.savefig(path, dpi=150)


def bars(axes: Any, row: Row, figure: Figure, found: list[Standing]) -> None:
    order = sorted(found, key=lambda one: one.value, reverse=True)
    drawn = axes.barh(
        [one.server.name for one in order],
        [one.value for one in order],
        color=[OURS if one.server.ours else PEER for one in order],
        hatch=["////" if one.errors else "" for one in order],
        edgecolor="white",
        linewidth=0,
    )
    labels = [number(one, figure) for one in order]
    axes.bar_label(drawn, labels=labels, padding=3, fontsize=7)
    axes.set_title(f"{row.title}\n{figure.title}, {figure.unit}", fontsize=8, loc="left")
    axes.tick_params(labelsize=7)
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)
