"""A client of the pair: pings the virtual address all the time and knows how long it heard nothing."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.wait import DEADLINE_S, until

ROOT: Final = Path(__file__).parent.parent.parent


@dataclass(slots=True)
class Client:
    """Pings the virtual address; every answer has the moment of the monotonic clock at which its probe was sent."""

    process: subprocess.Popen[str]
    interval_ms: int
    started_s: float
    answers: list[tuple[float, float]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            _, sent, answered = line.split()
            with self.lock:
                self.answers.append((float(sent), float(answered)))

    def mark(self) -> float:
        """Now, on the clock of the answers."""
        return time.monotonic()

    def answered_since(self, moment_s: float) -> bool:
        """Whether a probe that was sent after that moment was answered."""
        with self.lock:
            return bool(self.answers) and self.answers[-1][0] > moment_s

    def until_answered(self, timeout_s: float = DEADLINE_S) -> None:
        """Wait for the answer to a probe that is sent from now on."""
        now_s = self.mark()
        until(lambda: self.answered_since(now_s), lambda: "the client hears nothing", timeout_s)

    @property
    def silence_ms(self) -> float:
        """The longest time between two answers.

        Not between two probes that were answered: those that wait for the neighbour's address are all sent and answered
        when it announces itself.
        """
        with self.lock:
            heard = [self.started_s, *(answered for _, answered in self.answers)]
        return max((later - earlier) * 1_000 for earlier, later in itertools.pairwise(heard))


def prober(address: str, interval_ms: int) -> list[str]:
    """The program that pings, to be run where the client is."""
    return [sys.executable, "-m", "reconciler.demo.pinger", address, str(interval_ms)]


@contextlib.contextmanager
def pinging(argv: Sequence[str], interval_ms: int) -> Iterator[Client]:
    """A client as long as it is needed; `argv` is its `pinger`, and how to get there."""
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    word, moment = process.stdout.readline().split()
    assert word == "START"
    client = Client(process, interval_ms, float(moment))
    reader = threading.Thread(target=client.read, daemon=True)
    reader.start()
    try:
        yield client
    finally:
        process.stdin.close()
        process.wait(DEADLINE_S)
        reader.join(DEADLINE_S)
        process.stdout.close()
