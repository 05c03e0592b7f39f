"""A network segment for real: a switch, and rooms (network namespaces) that are plugged into it."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from reconciler.core.failover.orders.orders import Device, VirtualAddress
from reconciler.system.addresses.placement import AddressPlacement, Placed

Result = TypeVar("Result")

WAIT_S = 15
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_LIBC, name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name}: run the tests as root")


@contextmanager
def own_network() -> Iterator[None]:
    """This thread is in a fresh network namespace meanwhile."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _call("unshare", _CLONE_NEWNET)
        try:
            yield
        finally:
            _call("setns", home, _CLONE_NEWNET)
    finally:
        os.close(home)


def ip(*commands: str) -> None:
    """Commands of ip(8), all in one process, where this thread is."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True, capture_output=True)


class Room:
    """A network namespace that lives as long as a process that waits for the end of its input."""

    def __init__(self) -> None:
        # `read` before the namespace exists would be too early: the process says when it is there.
        self._process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo there; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"there\n"
        self.pid = self._process.pid

    def run(self, *command: str, check: bool = True) -> str:
        """What a command says in this room."""
        line = ["nsenter", "-t", str(self.pid), "-n", *command]
        return subprocess.run(line, capture_output=True, text=True, check=check, timeout=60).stdout

    def ip(self, *commands: str) -> None:
        """Commands of ip(8) in this room."""
        line = ["nsenter", "-t", str(self.pid), "-n", "ip", "-batch", "-"]
        subprocess.run(line, input="\n".join(commands), text=True, check=True, capture_output=True)

    def inside(self, function: Callable[[], Result]) -> Result:
        """The result of a function run in this room; sockets that it opens stay there."""
        results: list[Result] = []

        def enter() -> None:
            room = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
            _call("setns", room, _CLONE_NEWNET)
            os.close(room)
            results.append(function())

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(WAIT_S)
        return results[0]

    def pings(self, address: str) -> bool:
        """Whether an address answers one of several packets within seconds.

        The kernel puts a new IPv6 address into service from a work queue, milliseconds after it took it.
        """
        line = ["nsenter", "-t", str(self.pid), "-n", "ping", "-n", "-c", "1", "-i", "0.1", "-w", "5", address]
        return subprocess.run(line, capture_output=True, timeout=60).returncode == 0

    def neighbour(self, address: str) -> str:
        """The MAC that this room has for an address, empty when none."""
        words = self.run("ip", "neigh", "show", "to", address).split()
        return words[words.index("lladdr") + 1] if "lladdr" in words else ""

    def close(self) -> None:
        """Ends the process and with it the namespace."""
        with suppress(BrokenPipeError):
            self._process.communicate(timeout=WAIT_S)


class Segment:
    """The controller under test is where this thread is, on `e0` (10.0.0.1/24, fd00::1/64); a peer (.2) and a client
    (.9) have rooms; all three are plugged into one switch."""

    def __init__(self) -> None:
        self.switch, self.peer, self.client = Room(), Room(), Room()
        # Link-local addresses of NICs that are seconds old are not usable yet; those of a controller that runs are.
        Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
        for room in (self.peer, self.client):
            room.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        self.switch.ip("link add br0 type bridge mcast_snooping 0", "link set br0 addrgenmode none up")
        self.plug_in("e0", "here")
        for name, room in (("peer", self.peer), ("client", self.client)):
            room.ip(
                "link set lo up",
                f"link add e0 type veth peer name {name} netns {self.switch.pid}",
                "link set e0 up",
            )
            self.switch.ip(f"link set {name} addrgenmode none master br0 up")
        ip("link set lo up", "address add 10.0.0.1/24 dev e0", "address add fd00::1/64 dev e0 nodad")
        self.peer.ip("address add 10.0.0.2/24 dev e0", "address add fd00::2/64 dev e0 nodad")
        self.client.ip("address add 10.0.0.9/24 dev e0", "address add fd00::9/64 dev e0 nodad")
        # The switch begins to forward when it notices the carrier of a port, which can take it a second.
        deadline_ms = now_ms() + WAIT_S * 1000
        while not all(self.client.pings(near) for near in ("10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2")):
            assert now_ms() < deadline_ms

    def plug_in(self, name: str, port: str) -> None:
        """A NIC of the controller under test, with its cable in the switch."""
        ip(f"link add {name} type veth peer name {port} netns {self.switch.pid}", f"link set {name} up")
        self.switch.ip(f"link set {port} addrgenmode none master br0 up")

    def close(self) -> None:
        """Nothing is left."""
        for room in (self.client, self.peer, self.switch):
            room.close()


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def run_until(placement: AddressPlacement, condition: Callable[[], bool], wait_s: float = WAIT_S) -> None:
    """Drives a placement as a loop would until the condition holds."""
    deadline_ms = now_ms() + int(wait_s * 1000)
    while True:
        next_ms = placement.step(now_ms())
        if condition():
            return
        assert now_ms() < deadline_ms, placement.placed(now_ms())
        wait_ms = max(0, min(next_ms - now_ms(), 50))
        select.select(placement.sockets(), [], [], wait_ms / 1000)


def placed(placement: AddressPlacement) -> Placed:
    return placement.placed(now_ms())


def is_placed(placement: AddressPlacement) -> Callable[[], bool]:
    """All that is wanted is there, and nothing is wrong."""

    def look() -> bool:
        state = placed(placement)
        return bool(state.wanted) and set(state.present) == set(state.wanted) and not state.problems

    return look


@contextmanager
def placing(
    run: Path,
    *addresses: str,
    interface: str = "e0",
    devices: tuple[Device, ...] = (),
    on_virtual_mac: bool = False,
    want: bool = True,
) -> Iterator[AddressPlacement]:
    """A placement of these addresses, VHIDs from 20 on."""
    placement = AddressPlacement(run)
    try:
        ordered = [VirtualAddress(interface, address, 20 + at) for at, address in enumerate(addresses)]
        placement.follow(ordered, devices, on_virtual_mac=on_virtual_mac)
        placement.want(want)
        yield placement
    finally:
        placement.close(restore=False)


def addresses_of(name: str) -> set[str]:
    """What ip(8) shows on an interface here, with prefixes."""
    said = subprocess.run(["ip", "-o", "address", "show", "dev", name], capture_output=True, text=True).stdout
    return {line.split()[3] for line in said.splitlines()}


def mac_of(name: str) -> str:
    said = subprocess.run(["ip", "-o", "link", "show", "dev", name], capture_output=True, text=True).stdout.split()
    return said[said.index("link/ether") + 1]


def setting(name: str, key: str) -> int:
    """A sysctl of one interface here."""
    return int(Path(f"/proc/sys/net/ipv4/conf/{name}/{key}").read_text())


def ear(room: Room) -> socket.socket:
    """A raw socket that hears every frame that comes into a room's e0."""

    def opened() -> socket.socket:
        hearing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        hearing.bind(("e0", 3))
        hearing.setblocking(False)
        return hearing

    return room.inside(opened)
