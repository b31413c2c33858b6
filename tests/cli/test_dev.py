"""``tidegate dev`` is ``tidegate run`` with what development needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tidegate.cli import main
from tidegate.cli import run as run_module
from tidegate.server.config import Config


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Config]:
    """What would have been served."""
    configs: list[Config] = []
    monkeypatch.setattr(run_module, "serve", lambda config, again: configs.append(config))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegate.toml").write_text(
        'app = "shop:app"\nhost = "0.0.0.0"\nport = 9000\nworkers = 4\nlog_level = "warning"\n'
        "max_fields = 50\n"
    )
    return configs


def changed(config: Config) -> dict[str, Any]:
    default = vars(Config(""))
    return {name: value for name, value in vars(config).items() if value != default[name]}


OURS = {"app": "shop:app", "reload": True, "log_level": "debug", "max_fields": 50}


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, {"port": 9000}),
        (["--port", "1"], {}, {"port": 1}),
        (["--host", "::1"], {}, {"host": "::1"}),
        (["-b", "0.0.0.0:5"], {}, {"host": "0.0.0.0", "port": 5}),
        (["--uds", "s"], {}, {"uds": "s"}),
        (["--log-level", "error"], {}, {"port": 9000, "log_level": "error"}),
        (["--no-reload", "-w", "2"], {}, {"port": 9000, "reload": False, "workers": 2}),
        (["--live-reload"], {}, {"port": 9000, "live_reload": True}),
        ([], {"WEB_CONCURRENCY": "3"}, {"port": 9000}),
        ([], {"TIDEGATE_UDS": "s"}, {}),
    ],
)
def test_the_command_line_wins_over_development_and_that_over_the_rest(
    served: list[Config],
    arguments: list[str],
    environment: dict[str, str],
    expected: dict[str, Any],
) -> None:
    result = CliRunner().invoke(main, ["dev", *arguments], env=environment)
    assert result.exit_code == 0, result.output
    (config,) = served
    expected = {**OURS, **expected}
    assert changed(config) == {
        name: value for name, value in expected.items() if value is not False
    }
