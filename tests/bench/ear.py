"""Hears what programs print on pipes, each line with the moment it came: the clock of the reaction figures."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO

from reconciler.demo.testbed import Machine


@dataclass(frozen=True, slots=True)
class Heard:
    """One line of one program. `at_s` is of time.monotonic()."""

    source: str
    line: str
    at_s: float


class Ear:
    """Reads several pipes at once. Belongs to one thread."""

    def __init__(self, pipes: Mapping[str, IO[bytes]]) -> None:
        self._selector = selectors.DefaultSelector()
        self._rest = dict.fromkeys(pipes, b"")
        for name, pipe in pipes.items():
            self._selector.register(pipe, selectors.EVENT_READ, name)

    def __enter__(self) -> Ear:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._selector.close()

    def hear(self, timeout_s: float) -> list[Heard]:
        """What comes first within the time; nothing when nothing comes."""
        heard = []
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            at_s = time.monotonic()
            lines = (self._rest[key.data] + os.read(key.fd, 1 << 16)).split(b"\n")
            self._rest[key.data] = lines.pop()
            heard += [Heard(key.data, line.decode(errors="replace"), at_s) for line in lines]
        return heard

    def times(self, wanted: Mapping[str, Callable[[Heard], bool]], timeout_s: float) -> dict[str, float]:
        """When each of the wanted was first heard, by its name. Raises TimeoutError naming what was not."""
        end_s = time.monotonic() + timeout_s
        found: dict[str, float] = {}
        while len(found) < len(wanted):
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"not heard within {timeout_s} s: {', '.join(wanted.keys() - found.keys())}")
            for heard in self.hear(left_s):
                for name, fits in wanted.items():
                    if name not in found and fits(heard):
                        found[name] = heard.at_s
        return found

    def idle(self, until_s: float) -> None:
        """Hear and forget until the time has come."""
        while (left_s := until_s - time.monotonic()) > 0:
            self.hear(left_s)


def address_monitor(machine: Machine) -> subprocess.Popen[bytes]:
    """`ip monitor address` on a machine: the kernel's own word about addresses that come and go."""
    # On standard error ip(8) complains about links whose other end is in another namespace.
    command = machine.enter(["ip", "-o", "monitor", "address"])
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End programs that this one started."""
    for process in processes:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()
