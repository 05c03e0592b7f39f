"""Two network namespaces and a cable between their `e0`, and programs that run in them."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Self, TypeVar

Result = TypeVar("Result")

CLONE_NEWNET = 0x40000000
DEADLINE_S = 20.0
ETH_P_ALL = 3
_LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBERS = count()


@dataclass
class Segment:
    """The names of the two namespaces."""

    a: str
    b: str
    stack: ExitStack = field(default_factory=ExitStack)

    def ip(self, end: str, *commands: str) -> None:
        """Commands of ip(8) in one namespace."""
        subprocess.run(
            ["ip", "-n", end, "-batch", "-"], input="\n".join(commands), text=True, check=True, capture_output=True
        )

    def up(self, *, ipv4: bool = True, ipv6: bool = False) -> Self:
        """Both ends up: 10.9.0.1 and 10.9.0.2, fe80::1 and fe80::2, known at once as nobody looks for duplicates."""
        for number, end in enumerate((self.a, self.b), 1):
            commands = ["link set lo up", "link set e0 addrgenmode none up"]
            commands += [f"address add 10.9.0.{number}/24 dev e0"] * ipv4
            commands += [f"address add fe80::{number}/64 dev e0 nodad"] * ipv6
            self.ip(end, *commands)
        for end in (self.a, self.b):
            wait_for(lambda end=end: self.within(end, carrier), "the carrier")
        return self

    def within(self, end: str, function: Callable[[], Result]) -> Result:
        """What `function` answers in the namespace; sockets that it opens stay there."""
        results: list[Result] = []
        problems: list[BaseException] = []

        def run() -> None:
            try:
                descriptor = os.open(f"/run/netns/{end}", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if _LIBC.setns(descriptor, CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns: run the tests as root")
                finally:
                    os.close(descriptor)
                results.append(function())
            except BaseException as problem:
                problems.append(problem)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
        if problems:
            raise problems[0]
        return results[0]

    def index(self, end: str, name: str = "e0") -> int:
        return self.within(end, lambda: socket.if_nametoindex(name))

    def start(self, end: str, *arguments: str | Path) -> Program:
        program = Program("ip", "netns", "exec", end, *map(str, arguments))
        self.stack.callback(program.kill)
        return program

    def wire(self, end: str) -> socket.socket:
        """Hears and sends whole frames of `e0`."""

        def opened() -> socket.socket:
            frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.htons(ETH_P_ALL))
            frames.bind(("e0", ETH_P_ALL))
            return frames

        frames = self.within(end, opened)
        frames.settimeout(DEADLINE_S)
        self.stack.callback(frames.close)
        return frames


def carrier() -> bool:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE):
        link = subprocess.run(["ip", "-o", "link", "show", "e0"], capture_output=True, text=True, check=True)
    return "state UP" in link.stdout


@contextmanager
def cable() -> Iterator[Segment]:
    """Two namespaces, the ends of the cable down."""
    number = next(_NUMBERS)
    segment = Segment(*(f"hagit-carp-{os.getpid()}-{number}{end}" for end in "ab"))
    with segment.stack as stack:
        for end in (segment.a, segment.b):
            subprocess.run(["ip", "netns", "add", end], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "delete", end], check=True)
        segment.ip(segment.a, f"link add e0 type veth peer name e0 netns {segment.b}")
        yield segment


class Program:
    """A child process whose lines are waited for, never longer than the deadline."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        self._input = b""
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line.encode() + b"\n")

    def wait(self, *texts: str, since: int = 0) -> str:
        """The first line from number `since` on that holds all the texts."""
        end_s = time.monotonic() + DEADLINE_S
        number = since
        while True:
            while number < len(self.lines):
                if all(text in self.lines[number] for text in texts):
                    return self.lines[number]
                number += 1
            self.read(end_s, f"no line with {texts}")

    def read(self, end_s: float, complaint: str) -> None:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end_s - time.monotonic()))
        data = os.read(self._process.stdout.fileno(), 65_536) if ready else b""
        assert data, f"{complaint} from {self._process.args}:\n" + "\n".join(self.lines)
        *lines, self._input = (self._input + data).split(b"\n")
        self.lines += [line.decode(errors="replace") for line in lines]

    def kill(self) -> None:
        """Dead at once, without a word to anybody."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            stream.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end_s, f"waited {DEADLINE_S:.0f} s for {what}"
        pause.wait(0.02)
