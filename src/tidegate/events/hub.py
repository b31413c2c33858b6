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
import os
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar

from ..errors import ClientDisconnected, UsageError

__all__ = [
    "Hub",
    "HubMetrics",
    "Member",
    "Overflow",
    "SlowConsumer",
    "Subscription",
    "message_id",
]

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
        # Messages that did not fit, each with what its publisher waits for.
        self._waiting: deque[tuple[str, T, asyncio.Future[None]]] = deque()
        self._filled = asyncio.Event()

    def offer(self, identity: str, message: T) -> asyncio.Future[None] | None:
        """Put a message into the queue; return what the publisher must wait for, if anything."""
        if self._waiting or len(self._queue) >= self.limit:
            if self.overflow == "block":
                taken = asyncio.get_running_loop().create_future()
                self._waiting.append((identity, message, taken))
                return taken
            self._drop()
            if self.overflow == "disconnect":
                self.failed = True
                self._filled.set()
                return None
            if self.overflow == "drop_newest":
                return None
            self._queue.popleft()
        self._queue.append((identity, message))
        self._filled.set()
        return None

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped & (self.dropped - 1) == 0:  # 1, 2, 4, 8, ...
            logger.warning(
                "A member of %r is slow: %d messages dropped (%s, queue of %d)",
                *(self.room, self.dropped, self.overflow, self.limit),
            )

    async def take(self) -> tuple[str, T]:
        """Return the next message and its id.

        Raises ``SlowConsumer`` if the queue was full and the policy is to disconnect.
        """
        while not self._queue or self.failed:
            if self.failed:
                raise SlowConsumer(f"a member of {self.room!r} did not keep up")
            self._filled.clear()
            await self._filled.wait()
        found = self._queue.popleft()
        while self._waiting and len(self._queue) < self.limit:
            identity, message, taken = self._waiting.popleft()
            if not taken.done():  # its publisher may have given up
                self._queue.append((identity, message))
                taken.set_result(None)
        return found

    def leave(self) -> None:
        """Take no more: nobody need wait for it."""
        for _, _, taken in self._waiting:
            if not taken.done():
                taken.set_result(None)
        self._waiting.clear()


class Subscription(Generic[T]):
    """The messages of a room, one after the other; ``message_id`` holds the id of the last.

    It leaves the room when nobody refers to it any more, or at ``aclose()``.
    """

    def __init__(
        self,
        member: Member[T],
        missed: list[tuple[str, T]],
        kind: type[T] | None,
        leave: Callable[[Member[T]], None],
    ) -> None:
        self._member = member
        self._missed = deque(missed)
        self._kind = kind
        self._leave = leave
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._ended:
            missed = self._missed
            identity, message = missed.popleft() if missed else await self._member.take()
            if self._kind is None or isinstance(message, self._kind):
                message_id.set(identity)
                return message
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Leave the room."""
        self._ended = True
        self._leave(self._member)

    def __del__(self) -> None:
        self._leave(self._member)


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
        self._epoch = os.urandom(4).hex()
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

        All get the messages in one order.  Waits only for members whose policy is to block.
        """
        self._count += 1
        identity = f"{self._epoch}-{self._count}"
        self.metrics_so_far.published += 1
        here = self._rooms.get(room)
        if here is None:
            if not self.history:
                return 0
            here = self._room(room)
        if self.history:
            here.kept.append((identity, message))
            if len(here.kept) > self.history:
                here.kept.popleft()
        self._rooms.move_to_end(room)
        self._forget()
        members = list(here.members)
        dropped = sum(member.dropped for member in members)
        # All are offered it before anybody is waited for, so all see one order.
        waits = [wait for one in members if (wait := one.offer(identity, message)) is not None]
        dropped = sum(member.dropped for member in members) - dropped
        self.metrics_so_far.dropped += dropped
        self.metrics_so_far.delivered += len(members) - dropped
        try:
            for wait in waits:
                await wait
        finally:
            for wait in waits:
                wait.cancel()
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
        self._enter(member)
        sender = asyncio.create_task(_forward(member, receiver))
        # Who can be sent nothing any more must not make publishers wait.
        sender.add_done_callback(lambda _: self._leave(member))
        try:
            yield member
        finally:
            self._leave(member)
            sender.cancel()
            await asyncio.wait([sender])

    def subscribe(
        self,
        room: str,
        kind: type[T] | None = None,
        *,
        after: str | None = None,
        queue: int = 64,
        overflow: Overflow = "drop_oldest",
    ) -> Subscription[T]:
        """Return an iterator over what is published to a room from now on.

        First comes what was kept since the message with the id ``after``; all that
        was kept if that message is not known any more.  Of messages that are
        not a ``kind`` nothing is seen.  ``message_id`` holds the id of the last.
        """
        member: Member[Any] = Member(room, queue, overflow)
        missed = [] if after is None else self._since(room, after)
        self._enter(member)
        return Subscription(member, missed, kind, self._leave)

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
        """Take a member out of its room, if it is in there."""
        room = self._rooms.get(member.room)
        if room is None or member not in room.members:
            return
        room.members.discard(member)
        member.leave()
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
    except Exception:
        logger.exception("Sending to a member of %r failed", member.room)
