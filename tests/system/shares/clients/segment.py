"""Two controllers and a client on one switch, a server that answers, and a client that goes on, with real TCP."""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from reconciler.core.shares.shares import IscsiServer, IscsiTarget, NfsExport, NfsServer, Shares
from reconciler.system.addresses.announcer import Announcer, Target
from reconciler.system.shares.clients.guard import ClientGuard, GuardReport
from reconciler.system.shares.clients.services import service_points
from tests.system.addresses.segment import Room

HOST4, HOST6 = "10.0.0.10", "fd00::10"
PORT: Final = 2_049
SHARES: Final = Shares(
    "pair",
    state="tank/hagit-state",
    nfs=NfsServer((HOST4, HOST6)),
    exports=(NfsExport("home", "tank/home", ()),),
    iscsi=IscsiServer(),
    targets=(IscsiTarget("disk", "iqn.2026-01.org.example:disk", (HOST4, HOST6), (), ()),),
)
POINTS: Final = service_points(SHARES)
#: Between two requests of a client.
REQUEST_EVERY_S: Final = 0.01
#: A client of Linux connects again at once after a loss, and after a refusal this much later; the second number is half
#: a lease of 15 s (net/sunrpc/xprtsock.c).
REFUSED_S, REFUSED_S_MAX = 3.0, 7.5
JOIN_S: Final = 30.0


class Controller(Room):
    """A controller: its own address, and the virtual ones while it has them."""

    def place(self) -> None:
        """Have the virtual addresses and tell the neighbours."""
        self.ip(f"address add {HOST4}/32 dev e0", f"address add {HOST6}/128 dev e0 nodad")
        self.inside(self._announce)

    def remove(self) -> None:
        """Have them no longer."""
        self.ip(f"address del {HOST4}/32 dev e0", f"address del {HOST6}/128 dev e0")

    def _announce(self) -> None:
        words = subprocess.run(["ip", "-o", "link", "show", "dev", "e0"], capture_output=True, text=True).stdout.split()
        mac = words[words.index("link/ether") + 1]
        announcer = Announcer()
        try:
            announcer.follow([Target(socket.if_nametoindex("e0"), host, mac) for host in (HOST4, HOST6)], 0)
            announcer.send_due(0)
        finally:
            announcer.close()


class ClientSegment:
    """Controllers `a` (.1) and `b` (.2) and a client (.9) in network namespaces, plugged into one switch."""

    def __init__(self) -> None:
        self.switch, self.a, self.b, self.client = Room(), Controller(), Controller(), Room()
        self.switch.ip("link add br0 type bridge mcast_snooping 0", "link set br0 addrgenmode none up")
        for name, room, last in (("a", self.a, 1), ("b", self.b, 2), ("client", self.client, 9)):
            room.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
            room.ip(
                "link set lo up",
                f"link add e0 type veth peer name {name} netns {self.switch.pid}",
                "link set e0 up",
                f"address add 10.0.0.{last}/24 dev e0",
                f"address add fd00::{last}/64 dev e0 nodad",
            )
            self.switch.ip(f"link set dev {name} addrgenmode none master br0 up")
        deadline_s = time.monotonic() + JOIN_S
        while not all(self.client.pings(near) for near in ("10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2")):
            assert time.monotonic() < deadline_s

    def cut(self, name: str) -> None:
        """Pull the cable of a controller: it says nothing any more."""
        self.switch.ip(f"link set dev {name} down")

    def close(self) -> None:
        """Nothing is left."""
        for room in (self.client, self.a, self.b, self.switch):
            room.close()


class AnsweringServer:
    """Sends back what it receives at a port of every address of a room, as the kernel's NFS server listens.

    `answer_after_s`: how long it works on each request.
    """

    def __init__(self, room: Room, port: int = PORT, answer_after_s: float = 0.0) -> None:
        self._answer_after_s = answer_after_s
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self.connections: list[socket.socket] = []
        self.requests = 0
        room.inside(lambda: self._listen(port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _listen(self, port: int) -> None:
        self._listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                if key.fileobj is self._listener:
                    connection, _ = self._listener.accept()
                    self.connections.append(connection)
                    self._selector.register(connection, selectors.EVENT_READ)
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._answer(key.fileobj)

    def _answer(self, connection: socket.socket) -> None:
        try:
            request = connection.recv(4_096)
            self.requests += bool(request)
            threading.Event().wait(self._answer_after_s)
            connection.sendall(request)
        except OSError:
            request = b""
        if not request:
            self._selector.unregister(connection)
            self.connections.remove(connection)
            connection.close()

    def close(self) -> None:
        """Close all sockets, as a server does that stops."""
        self._wake.send(b"x")
        self._thread.join(JOIN_S)
        for opened in (self._listener, *self.connections, self._wake, self._woken):
            opened.close()
        self._selector.close()


class PersistentClient:
    """Sends one request after the other and connects again after each loss, from the same port, as NFS clients do.

    `answered_s`: moments of the answers, in seconds of the monotonic clock. `losses`: connections that broke.
    """

    def __init__(self, room: Room, address: str, source_port: int, port: int = PORT) -> None:
        self.answered_s: list[float] = []
        self.losses: list[str] = []
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._server, self._source_port = (address, port), source_port
        self._stopped = threading.Event()
        room.inside(self._start)

    def _start(self) -> None:
        # The thread is where the thread is that starts it.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        refused_s = REFUSED_S
        while not self._stopped.is_set():
            try:
                with self._connected() as connection:
                    refused_s = REFUSED_S
                    self._talk(connection)
            except ConnectionRefusedError as problem:
                self.losses.append(problem.strerror)
                self._stopped.wait(refused_s)
                refused_s = min(refused_s * 2, REFUSED_S_MAX)
            except OSError as problem:
                self.losses.append(problem.strerror or str(problem))
                if problem.errno == errno.EADDRNOTAVAIL:
                    # The old connection still waits for the end that the server never confirmed.
                    self._source_port += 1_000
                self._stopped.wait(REQUEST_EVERY_S)

    def _connected(self) -> socket.socket:
        opened = socket.socket(self._family)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("", self._source_port))
            opened.settimeout(JOIN_S)
            opened.connect(self._server)
        except BaseException:
            opened.close()
            raise
        return opened

    def _talk(self, connection: socket.socket) -> None:
        for number in range(1 << 30):
            request = struct.pack("!Q", number)
            connection.sendall(request)
            answer = connection.recv(len(request), socket.MSG_WAITALL)
            if answer != request:
                raise ConnectionResetError("the server closed the connection")
            self.answered_s.append(time.monotonic())
            if self._stopped.wait(REQUEST_EVERY_S):
                return

    def answered_after(self, moment_s: float) -> float | None:
        """The moment of the first answer after this one."""
        return next((answer_s for answer_s in self.answered_s if answer_s > moment_s), None)

    def stop(self) -> None:
        """Send no more requests. A client that waits for an answer ends with it, or with the test."""
        self._stopped.set()


class Sniffer:
    """Hears the TCP segments and ICMP packets that come into e0 of a room from the virtual addresses."""

    def __init__(self, room: Room) -> None:
        self._socket = room.inside(self._open)

    def _open(self) -> socket.socket:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        opened.bind(("e0", 3))
        opened.setblocking(False)
        return opened

    def words(self) -> list[str]:
        """What came since the last call: the flags of each segment ("FA", "R", ...), or "icmp"."""
        heard = []
        with suppress(BlockingIOError):
            while True:
                packet, origin = self._socket.recvfrom(65_536)
                # PACKET_OUTGOING is what this room sends itself.
                word = None if origin[2] == 4 else _word(packet)
                heard += [word] if word else []
        return heard

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


def _word(packet: bytes) -> str | None:
    if packet[0] >> 4 == 4:
        kind, source, payload = packet[9], packet[12:16], packet[(packet[0] & 15) * 4 :]
    else:
        kind, source, payload = packet[6], packet[8:24], packet[40:]
    if source not in (socket.inet_aton(HOST4), socket.inet_pton(socket.AF_INET6, HOST6)):
        return None
    if kind == socket.IPPROTO_TCP:
        return "".join(letter for bit, letter in enumerate("FSRPAU") if payload[13] >> bit & 1)
    # Neighbour discovery (133 to 137) belongs to the address, not to a port.
    return "icmp" if kind == socket.IPPROTO_ICMP or (kind == socket.IPPROTO_ICMPV6 and payload[0] < 133) else None


class GuardedService:
    """The server of one controller with the guard around it, in the watchdog's order."""

    def __init__(self, controller: Controller, guard: ClientGuard) -> None:
        self.controller = controller
        self.guard = guard
        self.server: AnsweringServer | None = None

    def take_over(self) -> GuardReport:
        """Serve here; the report of the last step."""
        self.call(self.guard.before_takeover)
        self.server = AnsweringServer(self.controller)
        self.controller.place()
        return self.call(self.guard.after_serving)

    def release(self) -> GuardReport:
        """Serve no longer; the report of the first step."""
        report = self.call(self.guard.before_release)
        self.controller.remove()
        assert self.server is not None
        self.server.close()
        self.server = None
        return report

    def call(self, step: Callable[[Shares], GuardReport]) -> GuardReport:
        """One step of the guard on the controller."""
        return self.controller.inside(lambda: step(SHARES))
