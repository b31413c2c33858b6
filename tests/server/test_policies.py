"""``[policy."/PATH"]``: what is different for some paths, and how it is written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.server.config import Config
from tidegate.server.explain import explained, given_as_toml
from tidegate.server.policies import PathPolicy
from tidegate.server.sources import collect

from .running import Diary, running

POST = "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n0123456789"


def from_file(text: str, folder: Path) -> Config:
    path = folder / "tidegate.toml"
    path.write_text('app = "a:b"\n' + text)
    return collect({}, file=str(path), environment={}).config()


def test_the_file_says_what_is_different(tmp_path: Path) -> None:
    text = '[policy."/upload"]\nmax_body_size = 5\naccess-log = false\non_disconnect = "raise"'
    (found,) = from_file(text, tmp_path).policies.items()
    wanted = PathPolicy(max_body_size=5, access_log=False, on_disconnect="raise")
    assert found == ("/upload", wanted)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[policy."/a"]\nmax_body = 5', "line 3: policy./a.max_body is no option of a policy; did"),
        ('[policy."/a"]\nmax_body_size = "5"', "line 3: policy./a.max_body_size must be a whole"),
        ('[policy."/a"]\nlimit_concurrency = 0', "line 3: policy./a.limit_concurrency must be at"),
        (
            '[policy."/a"]\non_disconnect = "x"',
            "on_disconnect must be one of raise, cancel, ignore",
        ),
        ("policy = 5", "line 2: a policy is a table: [policy.NAME]"),
        ("[policy.upload]", "line 2: policy: a path must start with '/', not 'upload'"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(text, tmp_path)
    assert words in str(caught.value)


def test_programs_are_told_too() -> None:
    with pytest.raises(ConfigError, match=r"policy\./a\.max_body_size must be at least 0"):
        Config("a:b", policies={"/a": PathPolicy(max_body_size=-1)})


def test_policies_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.toml"
    path.write_text('app = "a:b"\n[policy."/a"]\ntimeout_request = 5')
    settings = collect({}, file=str(path), environment={})
    lines = explained(settings.config(), settings).splitlines()
    (line,) = [line for line in lines if line.startswith("policies")]
    assert '{"/a" = {timeout_request = 5' in line


def test_what_was_given_reads_the_same_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.toml"
    path.write_text('app = "a:b"\n[policy."/a"]\ntimeout_request = 5')
    settings = collect({}, file=str(path), environment={})
    config = settings.config()
    path.write_text(given_as_toml(config, settings))
    assert collect({}, file=str(path), environment={}).config() == config


async def test_bodies_may_be_smaller_or_larger_than_elsewhere() -> None:
    policies = {"/small": PathPolicy(max_body_size=5), "/large": PathPolicy(max_body_size=50)}
    async with running(Diary(), max_body_size=9, policies=policies) as server:
        statuses = {}
        for path in ("/small", "/large/one", "/rest"):
            client = await server.connect()
            client.writer.write(POST.format(path=path).encode())
            statuses[path] = (await client.answer()).status
    assert statuses == {"/small": 413, "/large/one": 200, "/rest": 413}


async def test_time_and_places_are_those_of_the_path() -> None:
    diary = Diary()
    diary.may_answer.clear()
    policies = {
        "/quick": PathPolicy(timeout_request=0.01),
        "/alone": PathPolicy(limit_concurrency=1),
        "/endless": PathPolicy(timeout_request=0),
    }
    async with running(diary, policies=policies, timeout_request=1000) as server:
        assert (await server.get("/quick")).status == 504
        first, endless = await server.connect(), await server.connect()
        first.ask("/alone/1")
        endless.ask("/endless")
        while len(diary.scopes) < 3:
            await asyncio.sleep(0)
        assert (await server.get("/alone/2")).status == 503
        named = {
            scope["path"]: "tidegate.deadline" in scope["extensions"] for scope in diary.scopes
        }
        assert named == {"/quick": True, "/alone/1": True, "/endless": False}
        diary.may_answer.set()
        assert (await first.answer()).status == 200


async def test_some_paths_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tidegate")
    policies = {"/quiet": PathPolicy(access_log=False)}
    async with running(Diary(), policies=policies) as server:
        await server.get("/quiet/page")
        await server.get("/page")
    assert '"GET /page' in caplog.text
    assert "quiet" not in caplog.text


async def test_without_policies_nobody_looks_for_one() -> None:
    async with running(Diary()) as server:
        assert server.server.worker is not None
        service = server.server.worker.service
        assert service.lanes is None
        assert service.entrance is None
