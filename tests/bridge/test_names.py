from __future__ import annotations

import subprocess
import sys

import pytest

import tidegate.bridge


@pytest.mark.parametrize("name", tidegate.bridge.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(tidegate.bridge, name) is not None


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tidegate.bridge.nothing  # noqa: B018


def test_nothing_is_loaded_before_it_is_used() -> None:
    code = "import sys, tidegate.bridge; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=50).returncode == 0
