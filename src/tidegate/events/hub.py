"""Rooms: who is in one gets what is published to it, each through a queue of its own.

A slow member slows nobody else: its queue has a limit, and what happens above
it was chosen when it joined.  What is dropped is counted and logged, never lost
in silence.  A room keeps its last messages for a while, so that a client that
comes back gets what it missed.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from ..errors import ClientDisconnected, UsageError

__all__ = ["Hub", "HubMetrics", "Member", "Overflow", "SlowConsumer", "message_id"]

T = TypeVar("T")

logger = logging.getLogger("tidegate.hub")

Overflow: TypeAlias = Literal["drop_oldest", "drop_newest", "disconnect", "block"]
"""What happens when the queue of a member is full; ``block`` makes the publisher wait."""

message_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("message_id", default=None)
"""The id of the message that a subscription has just given; for server-sent events."""

# Rooms that nobody is in are forgotten from the oldest, with what they kept.
_MAX_EMPTY_ROOMS = 10_000


class SlowConsumer(ClientDisconnected):
    """A member did not keep up, and its overflow policy is to disconnect."""


class Receiver(Protocol):
    """What may join a room: a ``Socket``, or anything that can be sent to."""

    async def send(self, message: Any, /) -> None:
        """Take one message; raise ``ClientDisconnected`` when it takes no more."""


@dataclass
class HubMetrics:
    """What a hub has done since it began."""

    published: int = 0
    delivered: int = 0
    dropped: int = 0
    rooms: int = 0
    members: int = 0


class Member(Generic[T]):
    """One place in a room: a bounded queue."""

    def __init__(self, room: str, limit: int, overflow: Overflow) -> None:
        if limit < 1:
            raise UsageError(f"a queue holds at least one message, not {limit}")
        self.room = room
        self.limit = limit
        self.overflow = overflow
        self.dropped = 0
        self.failed = False  # it was too slow
        self._queue: deque[tuple[str, T]] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    def offer(self, identity: str, message: T) -> bool:
        """Put a message into the queue; False if it is full and the publisher must wait."""
        if len(self._queue) >= self.limit:
            if self.overflow == "block":
                self._emptied.clear()
                return False
            self._drop()
            if self.overflow == "disconnect":
                self.failed = True
                self._filled.set()
                return True
            if self.overflow == "drop_newest":
                return True
            self._queue.popleft()
        self._queue.append((identity, message))
        self._filled.set()
        return True

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped & (self.dropped - 1) == 0:  # 1, 2, 4, 8, ...
            logger.warning(
                "A member of %r is slow: %d messages dropped (%s, queue of %d)",
                *(self.room, self.dropped, self.overflow, self.limit),
            )

    async def room_left(self) -> None:
        """Wait until a message was taken."""
        await self._emptied.wait()

    async def take(self) -> tuple[str, T]:
        """Return the next message and its id.

        Raises ``SlowConsumer`` if the queue was full and the policy is to disconnect.
        """
        while not self._queue or self.failed:
            if self.failed:
                raise SlowConsumer(f"a member of {self.room!r} did not keep up")
            self._filled.clear()
            await self._filled.wait()
        self._emptied.set()
        return self._queue.popleft()


@dataclass
class _Room:
    members: set[Member[Any]] = field(default_factory=set)
    kept: deque[tuple[str, Any]] = field(default_factory=deque)


class Hub:
    """The rooms of one process.

    ``history`` is how many messages a room keeps for those who come back.
    """

    def __init__(self, history: int = 256) -> None:
        self.history = history
        self.metrics_so_far = HubMetrics()
        self._rooms: OrderedDict[str, _Room] = OrderedDict()
        self._empty = 0
        # Ids of another process mean nothing here, and must not look as if they did.
        self._epoch = secrets.token_hex(4)
        self._count = 0

    def metrics(self) -> HubMetrics:
        """Return what was done so far."""
        found = self.metrics_so_far
        found.rooms = len(self._rooms)
        found.members = sum(len(room.members) for room in self._rooms.values())
        return found

    def members(self, room: str) -> int:
        """Return how many are in a room."""
        found = self._rooms.get(room)
        return 0 if found is None else len(found.members)

    async def publish(self, room: str, message: Any) -> int:
        """Give a message to all in a room; return how many they are.

        Waits only for members whose policy is to block.
        """
        self._count += 1
        identity = f"{self._epoch}-{self._count}"
        here = self._room(room)
        if self.history:
            here.kept.append((identity, message))
            if len(here.kept) > self.history:
                here.kept.popleft()
        self.metrics_so_far.published += 1
        members = list(here.members)
        self._forget()
        for member in members:
            before = member.dropped
            while member in here.members and not member.offer(identity, message):
                await member.room_left()
            self.metrics_so_far.dropped += member.dropped - before
        self.metrics_so_far.delivered += len(members)
        return len(members)

    @asynccontextmanager
    async def join(
        self, room: str, receiver: Receiver, *, queue: int = 64, overflow: Overflow = "drop_oldest"
    ) -> AsyncIterator[Member[Any]]:
        """Send what is published to a room to a receiver, during the block.

        The queue holds ``queue`` messages.  With ``overflow="disconnect"`` a
        receiver that has a ``close`` is closed with 1008 when it is too slow.
        """
        member: Member[Any] = Member(room, queue, overflow)
        sender = asyncio.create_task(_forward(member, receiver))
        self._enter(member)
        try:
            yield member
        finally:
            self._leave(member)
            sender.cancel()
            await asyncio.wait([sender])
            if not sender.cancelled() and sender.exception() is not None:
                logger.error("Sending to a member of %r failed", room, exc_info=sender.exception())

    async def subscribe(
        self,
        room: str,
        kind: type[T] | None = None,
        *,
        after: str | None = None,
        queue: int = 64,
        overflow: Overflow = "drop_oldest",
    ) -> AsyncIterator[T]:
        """Yield what is published to a room.

        First comes what was kept since the message with the id ``after``; all that
        was kept if that message is not known any more.  Of messages that are
        not a ``kind`` nothing is seen.  ``message_id`` holds the id of the last.
        """
        member: Member[Any] = Member(room, queue, overflow)
        missed = [] if after is None else self._since(room, after)
        self._enter(member)
        try:
            for identity, message in missed:
                if kind is None or isinstance(message, kind):
                    message_id.set(identity)
                    yield message
            while True:
                identity, message = await member.take()
                if kind is None or isinstance(message, kind):
                    message_id.set(identity)
                    yield message
        finally:
            self._leave(member)

    def _since(self, room: str, after: str) -> list[tuple[str, Any]]:
        found = self._rooms.get(room)
        kept = [] if found is None else list(found.kept)
        for index, (identity, _) in enumerate(kept):
            if identity == after:
                return kept[index + 1 :]
        return kept

    def _room(self, name: str) -> _Room:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room()
            self._empty += 1
        return room

    def _enter(self, member: Member[Any]) -> None:
        room = self._room(member.room)
        self._empty -= not room.members
        room.members.add(member)

    def _leave(self, member: Member[Any]) -> None:
        room = self._rooms[member.room]
        room.members.discard(member)
        member._emptied.set()  # nobody need wait for it
        if not room.members:
            self._empty += 1
            self._rooms.move_to_end(member.room)
            if not room.kept:
                del self._rooms[member.room]
                self._empty -= 1

    def _forget(self) -> None:
        """Drop empty rooms beyond the limit, the longest untouched first."""
        while self._empty > _MAX_EMPTY_ROOMS:
            name = next(name for name, room in self._rooms.items() if not room.members)
            del self._rooms[name]
            self._empty -= 1


async def _forward(member: Member[Any], receiver: Receiver) -> None:
    try:
        while True:
            _, message = await member.take()
            await receiver.send(message)
    except SlowConsumer:
        close = getattr(receiver, "close", None)
        if close is not None:
            await close(1008, "too slow")
    except ClientDisconnected:
        pass  # who joined learns it from its own side
