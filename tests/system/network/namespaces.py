"""A fresh network and UTS namespace for a function, in a thread of its own, as they belong to threads."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

CLONE_NEWUTS, CLONE_NEWNET = 0x04000000, 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def in_namespace(function: Callable[[], Result], wait_s: float = 120) -> Result:
    """The result of `function` run where there is only a loopback device and the hostname is `scenario`."""
    results: list[Result] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            if _LIBC.unshare(CLONE_NEWNET | CLONE_NEWUTS):
                raise OSError(ctypes.get_errno(), "unshare: run the tests as root")
            socket.sethostname("scenario")
            results.append(function())
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(wait_s)
    assert not thread.is_alive(), f"not finished after {wait_s} s in process {os.getpid()}"
    if problems:
        raise problems[0]
    return results[0]


def ip(*commands: str) -> None:
    """Commands of ip(8), all in one process."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True, capture_output=True)


def plug_in(*names: str) -> None:
    """NICs that are down, each with a cable to a far end that is up (`NAME-far`)."""
    ip(
        "link set lo up",
        *(f"link add {name} type veth peer name {name}-far" for name in names),
        *(f"link set {name}-far addrgenmode none up" for name in names),
    )
