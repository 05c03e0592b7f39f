"""Records that a writer on the active controller had acknowledged, remembered outside of both machines.

A record's name is the writer's life (the host numbers them) and its number in it; its bytes follow from the name. The
writer (`writer.py`) appends record N to the file `log-LIFE` at N × 4096, then overwrites one of 64 slots of the file
`slots` with it, makes each stable by fsync(2), and only then says `LIFE N` over a virtio-serial port. `Acknowledged`
receives it, with the host's time. After any fault, the controller that has the pool must have every record that the
writer said: a slot may hold a later record than the one that was said last, never an earlier one.

Knows neither machines nor pools.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from pathlib import Path
from typing import Final

RECORD_BYTES: Final = 4_096
SLOTS: Final = 64
PORT_NAME: Final = "lab.records"


def record(life: int, number: int) -> bytes:
    """Return the bytes of a record: its name, and bytes that only this name gives."""
    name = b"%d %d\n" % (life, number)
    return name + hashlib.shake_128(name).digest(RECORD_BYTES - len(name))


def problems(directory: Path, said: dict[int, int]) -> list[str]:
    """Return missing or damaged records, a line each. `said`: number n of acknowledged records of each life."""
    found: list[str] = []
    last: dict[int, tuple[int, int]] = {}
    for life, count in sorted(said.items()):
        path = directory / f"log-{life}"
        data = path.read_bytes() if path.exists() else b""
        for number in range(count):
            last[number % SLOTS] = (life, number)
            at = number * RECORD_BYTES
            if data[at : at + RECORD_BYTES] != record(life, number):
                found.append(f"{path.name}: record {number} of {count} is {'damaged' if len(data) > at else 'missing'}")
    path = directory / "slots"
    slots = path.read_bytes() if path.exists() else b""
    for slot, least in sorted(last.items()):
        data = slots[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES]
        words = data.split(b"\n", 1)[0].split()
        name = (int(words[0]), int(words[1])) if len(words) == 2 and all(map(bytes.isdigit, words)) else (0, 0)
        if name < least or data != record(*name):
            found.append(f"slot {slot}: {least} was acknowledged, {name} is there")
    return found


class Acknowledged:
    """Receives from the writers of one machine over its port while the tests run; the machine may end and start."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._said: dict[int, list[float]] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place))
        self._listener.listen()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def devices(self) -> tuple[str, ...]:
        """Return QEMU arguments for the port; a machine that starts connects by itself."""
        chardev = f"socket,id=records,path={self._place}"
        return ("-chardev", chardev, "-device", f"virtserialport,chardev=records,name={PORT_NAME}")

    def said(self) -> dict[int, int]:
        """Return for each life how many records were acknowledged."""
        with self._lock:
            return {life: len(moments) for life, moments in self._said.items()}

    def moments(self) -> list[float]:
        """Return when each acknowledgement arrived, on this host's monotonic clock."""
        with self._lock:
            return sorted(moment for moments in self._said.values() for moment in moments)

    def close(self) -> None:
        """Stop receiving."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                try:
                    for line in lines:
                        self._hear(line)
                except OSError:
                    continue

    def _hear(self, line: bytes) -> None:
        # A line that a power cut shortened does not count.
        words = line.split() if line.endswith(b"\n") else []
        if len(words) != 2:
            return
        life, number = map(int, words)
        with self._lock:
            moments = self._said.setdefault(life, [])
            if number == len(moments):
                moments.append(time.monotonic())
