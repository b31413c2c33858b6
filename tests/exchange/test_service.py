"""What exchanges share: complaints about peers, and who is being served."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tidegate.exchange.sent import SENT
from tidegate.exchange.service import Policy, Service

from .applications import hello


async def test_a_flood_of_complaints_is_a_handful_of_lines(caplog):
    caplog.set_level(logging.INFO)
    service = Service(hello, Policy(), asyncio.get_running_loop())
    for number in range(1000):
        service.complain(("192.0.2.1", 5), f"reason {number}")
    service.tick()
    assert len(caplog.records) == 11
    assert caplog.records[-1].getMessage() == "Refused 990 more requests in the last second"
    service.complain(None, "one more")
    service.tick()
    assert len(caplog.records) == 12


async def test_what_send_returns_is_a_finished_coroutine():
    assert await SENT is None
    assert await asyncio.create_task(SENT) is None
    SENT.close()
    with pytest.raises(ValueError, match="thrown in"):
        SENT.throw(ValueError("thrown in"))
