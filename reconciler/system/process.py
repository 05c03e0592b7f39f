"""Running another program: bounded in time and output, in its own process group, nothing left behind.

Decides when a run is over: its own end, the deadline, or a program that cannot be started. It does not know what the
program is for. Secrets never stand in `argv`, where every user of the machine could read them: they go through
`stdin` or through a file whose name is given.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

#: A grandchild may keep the pipes open after the program itself has ended; its words are waited for this long.
LAST_WORDS_S = 0.2
_CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Finished:
    """The program ended by itself. `code` is negative for a signal; `truncated`: it said more than the limit."""

    code: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The deadline passed; the program and everything in its process group were killed. What it had said is kept."""

    timeout_s: float
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Missing:
    """The program could not be started at all."""

    program: str
    why: str


Outcome = Finished | TimedOut | Missing


def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    output_bytes_max: int = 1 << 20,
    limits: Mapping[int, int] | None = None,
    identity: tuple[int, int] | None = None,
) -> Outcome:
    """Run `argv` to its end or to the deadline. Never raises for what the program does.

    `env` replaces the whole environment, None keeps ours. Each of stdout and stderr is kept up to `output_bytes_max`;
    what comes after is read and thrown away, so a chatty program does not stand still. Other files are closed in it.
    `limits` are resources of setrlimit(2), set as soon as it runs: before it can have read its standard input.
    `identity`: user and group that it runs as, without other groups; needs root.
    """
    deadline_s = time.monotonic() + timeout_s
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            process_group=0,
            user=None if identity is None else identity[0],
            group=None if identity is None else identity[1],
            extra_groups=None if identity is None else (),
        )
    except (FileNotFoundError, NotADirectoryError):
        return Missing(argv[0], "not installed, or not in PATH")
    except OSError as error:
        return Missing(argv[0], error.strerror or str(error))
    with child:
        exited = os.pidfd_open(child.pid)
        for kind, value in (limits or {}).items():
            with contextlib.suppress(ProcessLookupError, ValueError, PermissionError):
                resource.prlimit(child.pid, kind, (value, value))
        talk = _Talk(child, exited, stdin, output_bytes_max)
        try:
            in_time = talk.until(deadline_s)
        finally:
            # The leader is not reaped yet, so the number of the group still means this group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            os.close(exited)
        code = child.wait()
    if not in_time:
        return TimedOut(timeout_s, bytes(talk.stdout.kept), bytes(talk.stderr.kept))
    truncated = talk.stdout.overflowed or talk.stderr.overflowed
    return Finished(code, bytes(talk.stdout.kept), bytes(talk.stderr.kept), truncated)


@dataclass(slots=True)
class _Sink:
    """One stream of output, kept up to a limit."""

    bytes_max: int
    kept: bytearray = field(default_factory=bytearray)
    overflowed: bool = False

    def take(self, data: bytes) -> None:
        room = self.bytes_max - len(self.kept)
        self.kept += data[:room]
        self.overflowed = self.overflowed or len(data) > room


class _Talk:
    """The exchange with one child: its input fed, its output collected, its end noticed, all from one selector."""

    def __init__(self, child: subprocess.Popen[bytes], exited: int, stdin: bytes, output_bytes_max: int) -> None:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        self.stdout, self.stderr = _Sink(output_bytes_max), _Sink(output_bytes_max)
        self._pending = memoryview(stdin)
        self._exited = exited
        self._selector = selectors.DefaultSelector()
        self._selector.register(exited, selectors.EVENT_READ)
        for stream, sink in ((child.stdout, self.stdout), (child.stderr, self.stderr)):
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, sink)
        os.set_blocking(child.stdin.fileno(), False)
        self._selector.register(child.stdin, selectors.EVENT_WRITE)
        self._input: IO[bytes] = child.stdin

    def until(self, deadline_s: float) -> bool:
        """True: the child ended before the deadline on the monotonic clock."""
        ended = False
        with self._selector:
            while True:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return ended
                for key, _ in self._selector.select(left_s):
                    if key.fileobj is self._input:
                        self._feed()
                    elif key.data is None:
                        ended = True
                        self._selector.unregister(self._exited)
                        deadline_s = min(deadline_s, time.monotonic() + LAST_WORDS_S)
                    else:
                        self._collect(key.fileobj, key.data)
                if ended and not any(isinstance(key.data, _Sink) for key in self._selector.get_map().values()):
                    return True

    def _feed(self) -> None:
        try:
            self._pending = self._pending[os.write(self._input.fileno(), self._pending[:_CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._pending = memoryview(b"")
        if not self._pending:
            self._selector.unregister(self._input)
            self._input.close()

    def _collect(self, stream: object, sink: _Sink) -> None:
        descriptor = stream.fileno()  # type: ignore[attr-defined]
        try:
            data = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if data:
            sink.take(data)
        else:
            self._selector.unregister(descriptor)
