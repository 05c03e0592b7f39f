"""One arm as its watchdog sees it: started, asked, heard, killed, and started again after a pause.

Decides when the next one is started. `arms` knows all of them, and what is asked.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.failover.document import plain
from reconciler.core.failover.orders import Orders
from reconciler.errors import StateError
from reconciler.system.framing import Frames, Message, frame
from reconciler.watchdog.requests import ArmKind, Failed, Reply, Request, plain_request, read_reply

CHUNK_BYTES: Final = 1 << 16
#: The first replacement comes at once, the next after this, then twice as late each time.
PAUSE_MS: Final = 100
PAUSE_MS_MAX: Final = 5_000
#: An arm that does not say by then that it is ready is started anew.
START_MS: Final = 30_000
#: So many killed arms of one kind that do not end; then no further one is started.
UNDEAD_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Condition:
    """How an arm is: `ready` for requests; how often it was started and killed; `undead`: killed and not ended yet."""

    kind: ArmKind
    ready: bool
    starts: int
    kills: int
    undead: int
    why: str


class Limb:
    """One kind of arm, through all its lives. `lock` is used by exclusive kinds only."""

    def __init__(self, kind: ArmKind, selector: selectors.EpollSelector, lock: Path) -> None:
        self.kind = kind
        self.ready = False
        self._selector = selector
        self._lock = str(lock) if kind.exclusive else ""
        self._orders: Message = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._socket: socket.socket | None = None
        self._frames = Frames()
        self._unsent = bytearray()
        self._undead: dict[int, subprocess.Popen[bytes]] = {}
        self._number = 0
        self._limit_ms: int | None = None
        self._start_ms = 0
        self._failures = self._starts = self._kills = 0
        self._reply: Reply | None = None
        self._busy = False
        self._why = ""

    def obey(self, url: str, orders: Orders) -> None:
        """Work by these orders from the next request on."""
        self._orders = {"do": "obey", "url": url, "lock": self._lock, "orders": plain(orders)}
        if self._socket is not None:
            self._send(self._orders)

    def ask(self, request: Request, within_ms: int, limit_ms: int) -> None:
        """Begin; at the moment `limit_ms` it is over, one way or the other."""
        assert self.ready and not self._busy
        self._busy, self._number, self._limit_ms = True, self._number + 1, limit_ms
        self._send({"id": self._number, "within_ms": within_ms, **plain_request(request)})

    @property
    def next_ms(self) -> int | None:
        """When `tend` has something to do by itself."""
        if self._child is not None:
            return self._limit_ms
        return self._start_ms if self._may_start() else None

    def tend(self, now_ms: int) -> Reply | None:
        """Kill what is overdue, start what is missing; the reply to what was asked, once."""
        if self._child is not None and self._limit_ms is not None and now_ms >= self._limit_ms:
            self.kill(now_ms, why="no answer in time" if self.ready else "not ready in time")
        if self._child is None and now_ms >= self._start_ms and self._may_start():
            self._start(now_ms)
        reply, self._reply = self._reply, None
        return reply

    def stir(self, descriptor: int, now_ms: int) -> None:
        """Something happened on a descriptor of this arm."""
        if descriptor in self._undead:
            self._bury(descriptor)
        elif self._socket is not None and descriptor == self._socket.fileno():
            self._flush()
            self._read(now_ms)

    def kill(self, now_ms: int, *, why: str = "abandoned", failed: bool = True) -> None:
        """End this life of the arm. Nothing of it is heard any more; whether it has ended, the kernel will say."""
        if self._child is None or self._socket is None:
            return
        # Not by its number: a child that has ended was reaped, perhaps, and the number may be somebody else's.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._kills += 1
        self._let_go(now_ms, why, failed=failed)

    def condition(self) -> Condition:
        """How it is."""
        return Condition(self.kind, self.ready, self._starts, self._kills, len(self._undead), self._why)

    def end(self) -> list[subprocess.Popen[bytes]]:
        """Kill it for good; returns the children that may not have ended yet."""
        self.kill(0, failed=False)
        children = list(self._undead.values())
        for descriptor in list(self._undead):
            self._selector.unregister(descriptor)
            os.close(descriptor)
        self._undead.clear()
        return children

    # Inside ----------------------------------------------------------------------------------------------------------

    def _may_start(self) -> bool:
        return len(self._undead) < (1 if self.kind.exclusive else UNDEAD_MAX)

    def _start(self, now_ms: int) -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        argv = [sys.executable, "-m", "reconciler.watchdog.arm", self.kind.value, str(far.fileno())]
        try:
            # In a group of its own: what is typed at a terminal is for the watchdog.
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(far.fileno(),),
                process_group=0,
            )
        except OSError as error:
            near.close()
            self._pause(now_ms, f"cannot be started: {error.strerror}")
            return
        finally:
            far.close()
        self._starts += 1
        self._pidfd = os.pidfd_open(self._child.pid)
        self._socket, self._frames, self._unsent = near, Frames(), bytearray()
        self._selector.register(near, selectors.EVENT_READ, self)
        self._limit_ms = now_ms + START_MS
        self._send(self._orders)

    def _send(self, message: Message) -> None:
        self._unsent += frame(message)
        self._flush()

    def _flush(self) -> None:
        if self._socket is None or not self._unsent:
            return
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            # The other end is gone; reading will say so.
            self._unsent.clear()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._socket, events, self)

    def _read(self, now_ms: int) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(CHUNK_BYTES)
            for message in self._frames.take(data):
                self._hear(message)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        except (OSError, StateError, ValueError, KeyError, TypeError) as error:
            self.kill(now_ms, why=f"speaks nonsense: {error}")
            return
        if not data and self._child is not None:
            self.kill(now_ms, why="ended by itself")

    def _hear(self, message: Message) -> None:
        if "ready" in message:
            if not self.ready:
                self.ready, self._limit_ms = True, None
        elif self._busy and message["id"] == self._number:
            self._reply = read_reply(message)
            self._busy, self._limit_ms, self._failures, self._why = False, None, 0, ""

    def _let_go(self, now_ms: int, why: str, *, failed: bool) -> None:
        assert self._child is not None and self._socket is not None
        self._selector.unregister(self._socket)
        self._socket.close()
        self._undead[self._pidfd] = self._child
        self._selector.register(self._pidfd, selectors.EVENT_READ, self)
        if self._busy and failed:
            self._reply = Failed(why)
        self._child = self._socket = self._limit_ms = None
        self.ready = self._busy = False
        if failed:
            self._pause(now_ms, why)
        else:
            self._start_ms, self._why = now_ms, why

    def _pause(self, now_ms: int, why: str) -> None:
        self._failures += 1
        doubled = PAUSE_MS << min(self._failures - 2, 8) if self._failures > 1 else 0
        self._start_ms, self._why = now_ms + min(doubled, PAUSE_MS_MAX), why

    def _bury(self, descriptor: int) -> None:
        child = self._undead[descriptor]
        if child.poll() is None:
            return
        del self._undead[descriptor]
        self._selector.unregister(descriptor)
        os.close(descriptor)
