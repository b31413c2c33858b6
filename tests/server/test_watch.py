"""Which files count, and who is told that they changed."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import ConfigError
from tidegate.server import watch
from tidegate.server.config import Config
from tidegate.server.watch import Selection, Watcher

from .process import SECONDS


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("project/src", "project/tests", "project/pages", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def selection(**settings: Any) -> Selection:
    return Selection(Config("module:app", reload=True, **settings))


@pytest.mark.parametrize(
    ("settings", "wanted", "unwanted"),
    [
        (
            {},
            "app.py src/a/b.py",
            "app.pyc page.html .app.py .venv/lib/app.py src/__pycache__/a.py app.py~ "
            "node_modules/x.py #app.py#",
        ),
        ({"reload_includes": ["*.html", ".env"]}, "a.py a.html src/b.html .env", ".venv/a.html"),
        ({"reload_includes": ["pages"]}, "pages/any/thing a.py", "src/thing"),
        ({"reload_excludes": ["test_*.py", "src"]}, "a.py tests/a.py", "test_a.py src/a.py"),
        ({"reload_includes": ["*.html"], "reload_excludes": ["a.*"]}, "b.html", "a.html a.py"),
        ({"reload_includes": [""]}, "a.py", "a.html"),
    ],
)
def test_files_count_by_name_and_place(
    folder: Path, settings: dict[str, Any], wanted: str, unwanted: str
) -> None:
    chosen = selection(**settings)
    assert [name for name in wanted.split() if not chosen.wants(str(folder / name))] == []
    assert [name for name in unwanted.split() if chosen.wants(str(folder / name))] == []


def test_hidden_is_what_is_hidden_below_the_folder(tmp_path: Path) -> None:
    hidden = tmp_path / ".worktrees" / "one"
    hidden.mkdir(parents=True)
    assert selection(reload_dirs=[str(hidden)]).wants(str(hidden / "a.py"))


def test_the_environment_file_counts(folder: Path) -> None:
    (folder / ".env").write_text("")
    assert selection(env_file=".env").wants(str(folder / ".env"))


@pytest.mark.parametrize(
    ("settings", "folders"),
    [
        ({}, ["."]),
        ({"app_dir": "src"}, ["."]),
        ({"app_dir": "../elsewhere"}, [".", "../elsewhere"]),
        ({"reload_dirs": ["src", "tests"]}, ["src", "tests"]),
        ({"reload_dirs": ["src"], "reload_includes": ["pages", "*.txt"]}, ["src", "pages"]),
    ],
)
def test_the_folders_are_here_or_what_is_said(
    folder: Path, settings: dict[str, Any], folders: list[str]
) -> None:
    assert selection(**settings).folders == [(folder / each).resolve() for each in folders]


def test_a_change_is_reported_with_its_files(folder: Path) -> None:
    news: queue.Queue[list[str] | Exception] = queue.Queue()
    watcher = Watcher(Config("module:app", reload=True), news.put)
    watcher.start()
    try:
        (folder / "page.html").write_text("")
        (folder / "app.py").write_text("")
        assert news.get(timeout=SECONDS) == [str(folder.resolve() / "app.py")]
    finally:
        watcher.stop()


def test_folders_that_cannot_be_watched_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*folders: Path, **settings: Any) -> None:
        raise OSError("the limit of the system is reached")

    monkeypatch.setattr("watchfiles.watch", refuse)
    news: queue.Queue[list[str] | Exception] = queue.Queue()
    watcher = Watcher(Config("module:app", reload=True), news.put)
    watcher.start()
    assert isinstance(news.get(timeout=SECONDS), OSError)
    watcher.stop()


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_missing", True)
    with pytest.raises(ConfigError, match=r"pip install 'tidegate\[reload\]'"):
        Watcher(Config("module:app", reload=True), lambda news: None)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"reload_dirs": ["nowhere"]}, "reload_dir: there is no folder 'nowhere'"),
        ({"reload_dirs": "src"}, "reload_dirs must be a list, not 'src'"),
        ({"reload_includes": [1]}, "reload_includes must be a list of texts"),
        ({"live_reload": True}, "live_reload needs reload"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config("module:app", **settings)
