"""The AsyncAPI document says what sockets and event streams carry."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from tests.web.documented import application
from tests.web.driver import ask

from tidegate import App
from tidegate.web.asyncapi import document


@functools.cache
def document_of(name: str) -> Any:
    return document(application(name))


def reached(found: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


@pytest.mark.parametrize("name", ["demo", "shop", "every_kind"])
async def test_the_document_holds_together(name: str) -> None:
    app = application(name)
    async with app.opened():
        found = (await ask(app, target="/asyncapi.json")).json
    assert found.keys() == {"asyncapi", "info", "channels", "operations", "components"}
    assert found["asyncapi"] == "3.0.0"
    assert found["info"].keys() >= {"title", "version"}
    for operation in found["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = reached(found, operation["channel"]["$ref"])
        for message in operation["messages"]:
            # Messages are those of the channel, not of the components (AsyncAPI 3.0).
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
            payload = reached(found, message["$ref"])["payload"]
            if "$ref" in payload:
                assert reached(found, payload["$ref"])
        names = [part[1:-1] for part in channel["address"].split("/") if part.startswith("{")]
        assert list(channel.get("parameters", {})) == names


def test_sockets_and_event_streams_are_channels() -> None:
    channels = document_of("every_kind")["channels"]
    addresses = {name: channel["address"] for name, channel in channels.items()}
    assert addresses == {
        "events": "/events/{room}",
        "socket": "/socket/{room}",
        "raw": "/raw",
        "anything": "/anything",
        "model_socket": "/models",
    }
    assert channels["socket"]["title"] == "Talk about shapes."


def test_what_the_application_receives_and_sends_is_told_apart() -> None:
    found = document_of("every_kind")
    actions = {name: one["action"] for name, one in found["operations"].items()}
    assert actions["socket_receive"] == "receive"
    assert actions["socket_send"] == "send"
    assert "events_receive" not in actions
    incoming = found["channels"]["socket"]["messages"]["incoming"]["payload"]
    assert [one["$ref"].rpartition("/")[2] for one in incoming["anyOf"]] == ["Circle", "Square"]
    outgoing = found["channels"]["model_socket"]["messages"]["outgoing"]["payload"]
    assert outgoing == {"$ref": "#/components/schemas/Inner"}


def test_an_application_without_sockets_has_an_empty_document() -> None:
    found = document(App())
    assert (found["channels"], found["operations"]) == ({}, {})
