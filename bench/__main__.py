"""``python -m bench``: choose, measure, report."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from .errors import BenchError
from .load import GENERATORS
from .machine import Cores, cpu_model, kernel, raise_file_limit
from .measure import Bench
from .peers import Installation, installation, make_peers
from .plot import draw
from .report import Facts, markdown
from .rows import DEFAULT_ROWS, ROWS, Row
from .run import measure_all, say
from .servers import SERVERS, Server

RESULTS = Path(__file__).parent / "results"

Choice = TypeVar("Choice")


def main() -> int:
    """Run the command line; return the exit code."""
    options = parse()
    # So that an ended terminal or a `kill` still stops the server being measured.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return listing() if options.list else compare(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nbench: interrupted; nothing was written", file=sys.stderr)
        return 130


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Tidegate and other ASGI servers side by side on this machine.",
    )
    parser.add_argument("--rows", metavar="NAME,...", help="work to measure (default: not soak)")
    parser.add_argument("--servers", metavar="NAME,...", help="whom to measure (default: all)")
    parser.add_argument("--soak", action="store_true", help="measure the soak row as well")
    parser.add_argument("--seconds", type=int, default=5, help="length of each load (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each figure (default: 3)")
    parser.add_argument(
        "--save", metavar="NAME", help="keep the report as bench/results/NAME.md and .png"
    )
    parser.add_argument(
        "--peers-python",
        metavar="PATH",
        help="interpreter that has the peers (default: bench/.venv-peers, made when missing)",
    )
    parser.add_argument("--list", action="store_true", help="list rows and servers, then stop")
    return parser.parse_args()


def listing() -> int:
    for title, names in (
        ("rows", {name: row.title for name, row in ROWS.items()}),
        ("servers", {name: server.package for name, server in SERVERS.items()}),
    ):
        print(f"{title}:")
        for name, words in names.items():
            print(f"  {name:14} {words}")
    return 0


def compare(options: argparse.Namespace) -> int:
    """Measure what was chosen, then print and write the report."""
    rows, servers = choose(options)
    # First what can fail at once, then what takes minutes.
    protocols = dict.fromkeys(row.protocol for row in rows)
    generators = [GENERATORS[protocol].version() for protocol in protocols]
    widest = max((row.connections for row in rows if not row.may_shrink), default=0)
    if raise_file_limit(widest + 200) < widest + 50:
        raise BenchError(f"{widest} connections need more open files; raise `ulimit -n`")
    homes, missing = find_homes(servers, options.peers_python)
    speeds = {name: speed(SERVERS[name], homes[name]) for name in homes if SERVERS[name].ours}
    if options.servers is None and speeds.get("tidegate") == "pure":
        # Both names would start the same program.
        homes.pop("tidegate-pure", None)
    present = [server for server in servers if server.name in homes]
    if not present:
        raise BenchError(f"not one of the chosen servers is installed: {', '.join(missing)}")
    cores = Cores.choose()
    # This process asks and waits; both belong on the generator's side.
    os.sched_setaffinity(0, {cores.generator})
    outcome = measure_all(Bench(cores, options.seconds), rows, present, homes, options.rounds)
    facts = Facts(
        date=datetime.date.today().isoformat(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        machine=f"{cpu_model()}, {kernel()}; {cores.words()}",
        generators=", ".join(generators),
        method=f"Median of {options.rounds} interleaved rounds,"
        f" {options.seconds} s of load each, single worker, access log off",
        versions=[
            " ".join([one.name, homes[one.name].versions[one.package], speeds.get(one.name, "")])
            for one in present
        ],
        missing=missing,
    )
    text = markdown(facts, rows, present, outcome)
    print(text, end="")
    keep(options.save or "latest", text, lambda path: draw(facts, rows, present, outcome, path))
    return 0


def choose(options: argparse.Namespace) -> tuple[list[Row], list[Server]]:
    """Return what was asked for.  Raises ``BenchError`` that names the choices."""
    if not 1 <= options.seconds <= 600:
        raise BenchError(f"--seconds {options.seconds}: choose from 1 to 600")
    if not 1 <= options.rounds <= 100:
        raise BenchError(f"--rounds {options.rounds}: choose from 1 to 100")
    if options.save is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", options.save):
        raise BenchError(f"--save {options.save!r}: use letters, digits, '.', '_' and '-'")
    rows = named("row", options.rows or ",".join(DEFAULT_ROWS), ROWS)
    if options.soak and ROWS["soak"] not in rows:
        rows.append(ROWS["soak"])
    return rows, named("server", options.servers or ",".join(SERVERS), SERVERS)


def named(kind: str, text: str, choices: Mapping[str, Choice]) -> list[Choice]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names or [text]:
        if name not in choices:
            raise BenchError(f"no {kind} is called {name!r}; choose from {', '.join(choices)}")
    return [choices[name] for name in names]


def find_homes(
    servers: Sequence[Server], peers_python: str | None
) -> tuple[dict[str, Installation], list[str]]:
    """Return the interpreter of each server that is installed, and who is not."""
    homes: dict[str, Installation] = {}
    for ours in (True, False):
        group = [server for server in servers if server.ours is ours]
        if not group:
            continue
        python = sys.executable if ours else peers_python or make_peers(say)
        home = installation(python, sorted({server.package for server in group}))
        homes |= {server.name: home for server in group if server.package in home.versions}
    return homes, [server.name for server in servers if server.name not in homes]


def speed(server: Server, home: Installation) -> str:
    """Return ``"pure"`` or ``"compiled"``, as ``tidegate --version`` says it."""
    done = subprocess.run(
        [home.python, "-m", "tidegate", "--version"],
        # The same in which it is measured, whatever TIDEGATE_PURE is out here.
        env=home.environment(server),
        capture_output=True,
        text=True,
        timeout=30,
    )
    found = re.search(r"\b(pure|compiled)\b", done.stdout)
    if found is None:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
        raise BenchError(f"`tidegate --version` names no speed: {lines[-1]}")
    return found[1]


def keep(name: str, text: str, plot: Callable[[Path], None]) -> None:
    """Write the report, and the plot where it can be drawn."""
    RESULTS.mkdir(exist_ok=True)
    page = RESULTS / f"{name}.md"
    picture = page.with_name(f"{name}.png")
    page.write_text(text)
    say(f"wrote {page}")
    try:
        plot(picture)
    except BenchError as error:
        say(f"bench: {error}")
    else:
        say(f"wrote {picture}")


if __name__ == "__main__":
    sys.exit(main())
