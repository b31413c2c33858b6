"""The fuzzer of PROXY headers, for a moment: and that it finds what it should."""

from __future__ import annotations

import pytest
from tests.fuzz import proxy

from tidegate.wire.proxy import ProxyHeader


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found(seed: int) -> None:
    proxy.fuzz(seed, 300)


def test_a_reader_that_depends_on_what_follows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "read_proxy_header", lambda data: (ProxyHeader(), len(data)))
    with pytest.raises(AssertionError):
        proxy.fuzz(0, 10)


def test_another_exception_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "read_proxy_header", lambda data: data[99999])
    with pytest.raises(IndexError):
        proxy.fuzz(0, 10)


def test_it_runs_as_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert proxy.main(["--seconds", "0.1"]) == 0
    assert "nothing found" in capsys.readouterr().out
