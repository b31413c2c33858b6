"""One worker process, as the event loop of its pool sees it.

A fresh interpreter, never a fork: the pool's process has threads and an event
loop.  The loop itself reads and writes the socket pair, so that a call costs
no hand-off to a thread.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from typing import Any, Protocol

from ...errors import ConfigError, WorkerCrashed
from .call import Call, error_of
from .channel import CALL, ERROR, HELLO, READY, Channel, Frame, pack
from .output import Output
from .shared import Segment

__all__ = ["WorkerOwner", "WorkerProcess"]

# What a worker that has hung up may take for its own clean-up.
_LAST_SECONDS = 5.0

_PROGRAM = (
    "import sys; sys.path[:] = {path!r};"
    " from tidegate.bridge.processes.worker import main; main(*{descriptors!r})"
)


class WorkerOwner(Protocol):
    """Whom a worker process calls."""

    def on_ready(self, worker: WorkerProcess) -> None:
        """The worker has started; calls may be given to it."""

    def on_reply(self, worker: WorkerProcess, frame: Frame) -> None:
        """The worker has answered its call.  Read the frame now."""

    def on_end(self, worker: WorkerProcess) -> None:
        """The process has ended, and nothing is left of it."""


class WorkerProcess:
    """The pool's end of one worker."""

    def __init__(self, name: str, settings: dict[str, Any], owner: WorkerOwner) -> None:
        """Start the process.  Raises ``OSError`` if the system has no room for it."""
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self.call: Call | None = None
        """The call that runs; None while the worker is free."""
        self.calls = 0
        """Calls it was given."""
        self.ready = False
        self.start_error: Exception | None = None
        self._given_at = 0.0
        self._retired = False
        self._ended = False
        self._unsent = b""
        self._pidfd = -1
        self._outputs: list[Output] = []
        self._undo = ExitStack()
        self._timer = self._loop.call_later(settings["start_timeout"], self.kill)
        self._undo.callback(self._cancel_timer)
        try:
            self._start(name, settings)
        except BaseException:
            self._undo.close()
            raise

    def _start(self, name: str, settings: dict[str, Any]) -> None:
        self._socket, control = socket.socketpair()
        self._undo.callback(self._socket.close)
        descriptor = _new_file()
        self._segment = Segment(descriptor)
        self._undo.callback(self._segment.close)
        lifeline, held = os.pipe()
        self._undo.callback(os.close, held)
        inherited = (control.fileno(), descriptor, lifeline)
        try:
            self._process = subprocess.Popen(
                _command(name, inherited),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=inherited,
                # A group of its own: Ctrl+C at the terminal does not reach it,
                # and killing the group ends what a call has started.
                process_group=0,
            )
        finally:
            control.close()
            os.close(lifeline)
        self.pid = self._process.pid
        self._undo.callback(self._process.wait)
        # Before the process is waited for, while its number cannot be another's.
        self._undo.callback(self.kill)
        self._channel = Channel(self._segment, settings["shared_size"])
        self._listen(name)
        self._send(HELLO, pack(settings))

    def _listen(self, name: str) -> None:
        """Notice answers, what is printed, and the end of the process."""
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket.fileno(), self._on_readable)
        self._undo.callback(self._loop.remove_reader, self._socket.fileno())
        self._undo.callback(self._loop.remove_writer, self._socket.fileno())
        for stream in ("stdout", "stderr"):
            with getattr(self._process, stream) as pipe:
                output = Output(os.dup(pipe.fileno()), stream, name, self.pid)
            self._outputs.append(output)
            self._undo.callback(output.close)
        if hasattr(os, "pidfd_open"):
            # The socket alone would not do: a child of the worker may hold it open.
            self._pidfd = os.pidfd_open(self.pid)
            self._undo.callback(os.close, self._pidfd)
            self._loop.add_reader(self._pidfd, self._on_end)
            self._undo.callback(self._loop.remove_reader, self._pidfd)

    def give(self, call: Call) -> bool:
        """Send a call; False if the worker turns out to have ended.

        Raises ``OSError`` if there is no memory to send it.
        """
        if self._ended or not self._send(CALL, call.parts):
            return False
        self.call = call
        call.worker = self
        self.calls += 1
        self._given_at = self._loop.time()
        return True

    def take_back(self) -> Call | None:
        """Return the call, if one runs; it belongs to this worker no longer."""
        call, self.call = self.call, None
        if call is not None:
            call.worker = None
        return call

    def seconds(self) -> float:
        """Return how long the current call has run."""
        return self._loop.time() - self._given_at

    def retire(self, timeout: float) -> None:
        """Ask a free worker to end; kill it if it has not after ``timeout`` seconds."""
        self._retired = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it has ended already, which is about to be noticed
        self._set_timer(timeout)

    def kill(self) -> None:
        """End the worker, whatever it does, and all that it has started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # only the dead are left of it

    def wait(self) -> None:
        """Kill, and block until nothing is left.  For a loop that is about to close."""
        self._ended = True
        self._undo.close()

    def crash(self, what: str) -> WorkerCrashed:
        """Return the error that says how the process ended; it must have."""
        code = self._process.returncode
        if code >= 0:
            return WorkerCrashed(f"worker {self.pid} ended with exit code {code} {what}", code)
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return WorkerCrashed(f"worker {self.pid} was ended by {name} {what}", signal=-code)

    def _send(self, kind: int, parts: list[Any]) -> bool:
        data = self._channel.outgoing(kind, parts)
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent < len(data):
            self._unsent = data[sent:]
            self._loop.add_writer(self._socket.fileno(), self._on_writable)
        return True

    def _on_writable(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)  # the end of the process is about to be noticed
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())

    def _on_readable(self) -> bool:
        """Take what there is; say whether there may be more."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._socket.fileno())
            if self._pidfd < 0:
                self._on_end()
            elif not self._retired:
                # It cannot take calls, so it must not linger.
                self._set_timer(_LAST_SECONDS)
            return False
        frame = self._channel.incoming(data)
        if frame is not None:
            self._on_frame(frame)
        return True

    def _on_frame(self, frame: Frame) -> None:
        if self.ready:
            self._owner.on_reply(self, frame)
            # Unless it was given the next call meanwhile.
            if self.call is None and not self._ended:
                self._segment.give_back()
        elif frame.kind == READY:
            self._timer.cancel()
            self.ready = True
            self._owner.on_ready(self)
        elif frame.kind == ERROR:
            self.start_error = error_of(frame, "setup")

    def _on_end(self) -> None:
        if self._ended:
            return
        self._ended = True
        # What the worker answered, and printed, before it ended counts.
        while self._on_readable():
            pass
        self.kill()
        for output in self._outputs:
            output.finish()
        self._undo.close()
        self._owner.on_end(self)

    def _set_timer(self, timeout: float) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(timeout, self.kill)

    def _cancel_timer(self) -> None:
        self._timer.cancel()


def _command(name: str, inherited: tuple[int, int, int]) -> list[str]:
    """Return the command line of a worker that imports from where we import."""
    if not sys.executable:
        raise ConfigError("sys.executable is empty: a pool of processes needs an interpreter")
    path = [entry for entry in sys.path if isinstance(entry, str)]
    options = [f"-W{option}" for option in sys.warnoptions] + ["-O"] * sys.flags.optimize
    program = _PROGRAM.format(path=path, descriptors=inherited)
    return [sys.executable, *options, "-c", program, f"tidegate-pool-{name}"]


def _new_file() -> int:
    """Return the descriptor of an empty file without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("tidegate-pool", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
