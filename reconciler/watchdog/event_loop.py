"""The event loop: calls back for file descriptors and timers, one after another, in one thread.

All readable descriptors come before all due timers. So a process that was paused reads the heartbeats that arrived
meanwhile before it judges silence. Measures how late timers fire. Knows nothing about failover.
"""

from __future__ import annotations

import heapq
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

#: The longest wait, so that an idle daemon still sends its keep-alive to systemd.
IDLE_MS_MAX: Final = 1_000
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def monotonic_ms() -> int:
    """Milliseconds since an arbitrary point (clock_gettime(2), CLOCK_MONOTONIC). Does not count suspended time."""
    return time.monotonic_ns() // 1_000_000


@dataclass(order=True, slots=True)
class Timer:
    """Calls `act` once at a moment, unless it is cancelled."""

    due_ms: int
    number: int
    act: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """Never call `act`."""
        self.act = None


class EventLoop:
    """Calls back when a descriptor is readable or writable, and when a timer is due. `stop` ends it.

    `lateness_ms_max`: the largest delay of a timer so far, in milliseconds.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._timer_count = 0
        self._running = False
        self.lateness_ms_max = 0
        self.now_ms = monotonic_ms()

    def watch(self, descriptor: int, ready: Callable[[], None], *, write: bool = False) -> None:
        """Call `ready` whenever the descriptor is readable (with `write`, readable or writable)."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        if descriptor in self._selector.get_map():
            self._selector.modify(descriptor, events, ready)
        else:
            self._selector.register(descriptor, events, ready)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching. Call this before the descriptor is closed."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def at(self, due_ms: int, act: Callable[[], None]) -> Timer:
        """Call `act` once at this moment."""
        self._timer_count += 1
        timer = Timer(due_ms, self._timer_count, act)
        heapq.heappush(self._timers, timer)
        return timer

    def after(self, delay_ms: int, act: Callable[[], None]) -> Timer:
        """Call `act` once after this delay."""
        return self.at(monotonic_ms() + delay_ms, act)

    def stop(self) -> None:
        """Let `run` return after the present round."""
        self._running = False

    def run(self) -> None:
        """Run until `stop`. An exception of a callback ends the loop."""
        self._running = True
        while self._running:
            self.run_once()

    def run_once(self, wait_ms_max: int = IDLE_MS_MAX) -> None:
        """Run one round: wait, serve readable descriptors, then fire the timers that were due after the wait."""
        while self._timers and self._timers[0].act is None:
            heapq.heappop(self._timers)
        wait_ms = wait_ms_max
        if self._timers:
            wait_ms = max(0, min(wait_ms_max, self._timers[0].due_ms - monotonic_ms()))
        ready = self._selector.select(wait_ms / 1_000)
        woke_ms = self.now_ms = monotonic_ms()
        for key, _ in ready:
            # An earlier callback of this round may have stopped watching this descriptor.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        while self._timers and self._timers[0].due_ms <= woke_ms:
            timer = heapq.heappop(self._timers)
            if timer.act is not None:
                self.lateness_ms_max = max(self.lateness_ms_max, monotonic_ms() - timer.due_ms)
                timer.act()

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()

    @contextmanager
    def signals(self, heard: Callable[[int], None]) -> Iterator[None]:
        """Turn signals into events of the loop (signal.set_wakeup_fd). Only in the main thread."""
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
        earlier = signal.set_wakeup_fd(far.fileno(), warn_on_full_buffer=False)

        def read() -> None:
            for number in near.recv(64):
                heard(number)

        self.watch(near.fileno(), read)
        try:
            yield
        finally:
            signal.set_wakeup_fd(earlier)
            for number, handler in before.items():
                signal.signal(number, handler)
            self.unwatch(near.fileno())
            near.close()
            far.close()
