"""Requests for other hosts than ours."""

from __future__ import annotations

import json

import pytest

from tidegate.web.middleware import TrustedHost

from .driver import Recorder, ask, page, shake

HOSTS = ["us.example", "*.all.example", "[::1]", "b\u00fccher.example"]


@pytest.mark.parametrize(
    "host",
    [
        *("us.example", "US.Example", "us.example:8000", "us.example.", "us.example.:80"),
        *("a.all.example", "a.b.all.example:1", "[::1]", "[::1]:80", "xn--bcher-kva.example"),
    ],
)
async def test_our_hosts_are_served(host):
    assert (await ask(TrustedHost(HOSTS)(page()), headers={"host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *("them.example", "all.example", "xall.example", "us.example.them.example"),
        *("us.example:80:80", "us.example:", "us.example:x", "us.example@them.example"),
        *("us.example/", "us.example#", "us.example, us.example", "[::2]", "[::1", "::1", " "),
        *("us.example\x00", "-", "..", "a..all.example:99999999", "a" * 300 + ".all.example"),
    ],
)
async def test_other_hosts_get_400(host):
    app = Recorder()
    answer = await ask(TrustedHost(HOSTS)(app), headers={"host": host})
    assert app.scopes == []
    assert answer.status == 400
    assert answer["content-type"] == "application/problem+json"
    # Nothing of what was sent is repeated.
    assert json.loads(answer.body)["detail"] == "the Host field does not name this server"


async def test_a_request_without_a_host_gets_400():
    assert (await ask(TrustedHost(HOSTS)(page()), headers={"host": ""})).status == 400


async def test_two_hosts_get_400():
    headers = [("host", "us.example"), ("host", "us.example")]
    assert (await ask(TrustedHost(HOSTS)(page()), headers=headers)).status == 400


@pytest.mark.parametrize(("host", "status"), [("them.example", 200), ("a b", 400), ("a/b", 400)])
async def test_a_star_still_wants_a_host_that_can_be_one(host, status):
    assert (await ask(TrustedHost(["*"])(page()), headers={"host": host})).status == status


async def test_a_socket_for_another_host_is_denied():
    app = TrustedHost(HOSTS)(page())
    denial = {"extensions": {"websocket.http.response": {}}}
    sent = await shake(app, headers={"host": "them.example"}, **denial)
    assert [message["type"] for message in sent] == [
        *("websocket.http.response.start", "websocket.http.response.body"),
    ]
    assert sent[0]["status"] == 400
    sent = await shake(app, headers={"host": "them.example"}, extensions=None)
    assert sent == [{"type": "websocket.close", "code": 1008}]
