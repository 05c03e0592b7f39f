"""Addresses of the host names in exports, resolved all at once and within one deadline.

rpc.mountd would resolve them one after another before it answers any client, and a name server that is silent would
keep all exports from all clients. Does not decide what a missing name means.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from typing import Final

#: Names that are resolved at the same time; further ones wait.
WIDTH: Final = 16
ADDRESSES_MAX: Final = 16


def resolve(names: Iterable[str], deadline_s: float) -> dict[str, tuple[str, ...]]:
    """Return the addresses of these names; a name without an answer in time is missing."""
    waiting = sorted(set(names))
    found: dict[str, tuple[str, ...]] = {}
    if not waiting:
        return found
    lock, finished, closed = threading.Lock(), threading.Event(), threading.Event()
    left = len(waiting)

    def work() -> None:
        nonlocal left
        while not closed.is_set():
            with lock:
                if not waiting:
                    return
                name = waiting.pop(0)
            addresses = _addresses(name)
            with lock:
                if addresses and not closed.is_set():
                    found[name] = addresses
                left -= 1
                if not left:
                    finished.set()

    for _ in range(min(WIDTH, len(waiting))):
        threading.Thread(target=work, daemon=True).start()
    finished.wait(deadline_s)
    with lock:
        closed.set()
        return dict(found)


def _addresses(name: str) -> tuple[str, ...]:
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(answer[4][0]).partition("%")[0] for answer in answers))[:ADDRESSES_MAX]
