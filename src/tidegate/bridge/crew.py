"""Threads that take jobs from one queue: when does a thread start, wake, end?

A thread costs little while it sleeps and much while it is woken: the woken one
fights for the interpreter with the one that woke it.  So at most one thread is
on its way out of sleep at any time; when it gets to work and finds more than it
can do, it wakes the next.  The one that slept last is woken first, so that few
threads do the work while there is little of it.
"""

from __future__ import annotations

import _thread
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Crew", "Entry", "Job"]

logger = logging.getLogger("tidegate.error")

Job: TypeAlias = Callable[[], object]
Entry: TypeAlias = tuple[float, Job]
"""A job with the time it was put into the queue."""

# Enough for a 99th percentile; two pages of memory.
_MAX_WAITS = 1024


class Crew:
    """Daemon threads with one queue; knows nothing of loops, callers or limits of the queue."""

    def __init__(
        self,
        name: str,
        size: int,
        on_start: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``size`` is how many threads there may be; ``on_start`` runs first in each of them."""
        self.name = name
        self.size = size
        self.clock = clock
        self.queue: deque[Entry] = deque()
        self.waits: deque[float] = deque(maxlen=_MAX_WAITS)  # of the jobs begun last
        self.threads: set[threading.Thread] = set()
        self.idle: list[_thread.LockType] = []  # the gates of threads that sleep
        self.working: set[int] = set()  # identifiers of threads that have a job
        self._on_start = on_start
        self._waking = False  # a thread was woken that has not come out of its gate
        self._closed = False
        self._started = 0  # ever, for their names
        # For starting and ending only; a job costs no lock.
        self._lock = threading.Lock()

    def put(self, job: Job, later: bool = False) -> Entry:
        """Queue a job, and see to it that somebody will do it.

        With ``later`` the caller calls ``stir`` himself, once for many jobs.
        Raises ``RuntimeError`` if there is no thread and none can be started.
        """
        entry = (self.clock(), job)
        self.queue.append(entry)
        if later and self.threads:
            return entry
        try:
            self.stir()
        except RuntimeError:
            self.withdraw(entry)
            raise
        return entry

    def stir(self) -> None:
        """See to it that somebody looks at the queue, if there is anything in it."""
        if self.idle and not self._waking:
            self._wake()
        threads = len(self.threads)
        if threads < self.size and len(self.queue) > threads - len(self.working):
            self._start()

    def withdraw(self, entry: Entry) -> bool:
        """Take a job out of the queue; False if a thread was faster."""
        try:
            self.queue.remove(entry)
        except ValueError:
            return False
        return True

    def oldest(self) -> float:
        """Return how long the next job in the queue has waited, in seconds."""
        try:
            return self.clock() - self.queue[0][0]
        except IndexError:
            return 0.0

    def has_room(self) -> bool:
        """Say whether one more job would find a thread at once, or start one."""
        return len(self.queue) < self.size - len(self.working)

    def close(self) -> None:
        """Let every thread end when the queue is empty."""
        self._closed = True
        while self.idle:
            self._wake()
        if self.queue:
            self.stir()

    def _start(self) -> None:
        with self._lock:
            if len(self.threads) >= self.size:  # by now
                return
            self._started += 1
            name = f"tidegate-{self.name}-{self._started}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self.threads.add(thread)
            try:
                thread.start()
            except RuntimeError:
                # The system has no more; those there are will do.
                self.threads.discard(thread)
                if not self.threads:
                    raise

    def _wake(self) -> None:
        try:
            gate = self.idle.pop()
        except IndexError:
            return
        self._waking = True
        gate.release()

    def _work(self) -> None:
        self._on_start()
        gate = _thread.allocate_lock()
        gate.acquire()
        me, working = _thread.get_ident(), False
        queue, waits, clock = self.queue, self.waits, self.clock
        while True:
            try:
                since, job = queue.popleft()
            except IndexError:
                self.working.discard(me)
                working = False
                if self._is_done():
                    return
                self._sleep(gate)
                continue
            if not working:
                working = True
                self.working.add(me)
            if queue:
                # Whoever queued it may have counted on this thread.
                self.stir()
            waits.append(clock() - since)
            try:
                job()
            except BaseException as error:
                # SystemExit too: a job must not be able to end a thread.
                logger.error("Exception in a job of the pool %r", self.name, exc_info=error)
            del job
            if len(self.threads) > self.size and self._is_done():
                return

    def _sleep(self, gate: _thread.LockType) -> None:
        """Wait until woken, unless there is something to do by now."""
        idle = self.idle
        idle.append(gate)
        if self.queue or self._closed:
            # It came before anybody could see that this thread sleeps.
            try:
                idle.remove(gate)
            except ValueError:
                pass  # somebody did, and is about to open the gate
            else:
                return
        gate.acquire()
        self._waking = False

    def _is_done(self) -> bool:
        """Say whether this thread should end, and take it off the list then."""
        with self._lock:
            if len(self.threads) > self.size or (self._closed and not self.queue):
                self.threads.discard(threading.current_thread())
                self.working.discard(_thread.get_ident())
                return True
        return False
