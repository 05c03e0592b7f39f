"""BIND, and avahi-daemon with a bus of its own, on a controller's network; a client of mDNS at the end of its cable."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdatatype

from tests.controller import Controller, inside
from tests.wait import DEADLINE_S, until

SERVER: Final = "127.0.0.1"
ZONE: Final = "example.org"
KEY: Final = "shelf1-update"
GROUP: Final = "224.0.0.251"
PORT: Final = 5353

_NAMED: Final = """\
options {{
  directory "{root}"; pid-file none; session-keyfile none; lock-file none;
  listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; notify no; empty-zones-enable no; max-udp-size 512;
}};
controls {{ }};
include "{root}/keys";
zone "example.org" {{ type primary; file "{root}/zone"; update-policy {{ {policy} }}; }};
"""
_POLICY: Final = (
    "grant shelf1-update name shelf1.example.org A AAAA; grant shelf1-update name alias.example.org A AAAA; "
    "grant shelf1-update name many.example.org A AAAA;"
)
_ZONE: Final = """\
$TTL 3600
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
alias IN CNAME ns
fixed IN A 10.0.0.77
shelf1 IN TXT "kept"
"""


def key_text(
    name: str = KEY, secret: bytes = b"a secret of 32 bytes for the tests", algorithm: str = "hmac-sha256"
) -> str:
    """A key file as tsig-keygen(8) prints it."""
    return f'key "{name}" {{\n\talgorithm {algorithm};\n\tsecret "{base64.b64encode(secret).decode()}";\n}};\n'


class NameServer:
    """Debian's BIND on a controller: primary for example.org, whose key may change A and AAAA of shelf1 alone."""

    def __init__(self, controller: Controller, address: str = SERVER, port: int = 53) -> None:
        self._controller, self.address, self.port = controller, address, port
        self.root = controller.root / "named"
        self.root.mkdir()
        self.log = self.root / "log"
        (self.root / "keys").write_text(key_text() + key_text("other-key", b"another secret of 32 bytes......"))
        (self.root / "zone").write_text(_ZONE)
        text = _NAMED.format(root=self.root, address=address, port=port, policy=_POLICY)
        (self.root / "named.conf").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> NameServer:
        """Start it, and wait until it answers."""
        argv = self._controller.machine.enter(["named", "-g", "-n", "1", "-c", str(self.root / "named.conf")])
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        until(lambda: self.records("ns.example.org"), self.log.read_text)
        return self

    def stop(self) -> None:
        """Stop it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def records(self, name: str, kind: str = "A") -> list[str]:
        """The data of the records of a name, sorted; empty without an answer."""

        def ask() -> list[str]:
            try:
                query = dns.message.make_query(name, kind)
                answer = dns.query.tcp(query, self.address, 5, self.port)
            except (OSError, EOFError, dns.query.dns.exception.DNSException):
                return []
            wanted = dns.rdatatype.from_text(kind)
            return sorted(str(one) for found in answer.answer if found.rdtype == wanted for one in found)

        return self._controller.inside(ask)

    def update(self, *lines: str) -> None:
        """Change the zone by hand with nsupdate's protocol and the same key."""
        import dns.tsig
        import dns.update

        secret = re.search(r'secret "(.*)"', key_text())
        assert secret is not None
        key = dns.tsig.Key(KEY, secret[1], "hmac-sha256")
        message = dns.update.UpdateMessage(ZONE, keyring=key)
        for line in lines:
            name, kind, *data = line.split()
            message.replace(name, 60, kind, *data)
        answer = self._controller.inside(lambda: dns.query.tcp(message, self.address, 5, self.port))
        assert answer.rcode() == 0, answer


_BUS: Final = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={path}</listen>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow user="*"/>
  </policy>
</busconfig>
"""
_AVAHI: Final = """\
[server]
host-name={name}
deny-interfaces=lo
use-ipv6=yes
enable-dbus=yes
[publish]
publish-hinfo=no
publish-workstation=no
[rlimits]
"""


class Avahi:
    """Debian's avahi-daemon on a controller, with a D-Bus of its own."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        # A path of a socket holds 107 bytes (unix(7)).
        digest = hashlib.sha256(str(controller.root).encode()).hexdigest()[:12]
        self._bus = Path(f"/tmp/hagit-bus-{os.getpid()}-{digest}")
        self.root = controller.root / "avahi"
        self.root.mkdir()
        (self.root / "bus.conf").write_text(_BUS.format(path=self._bus))
        (self.root / "avahi.conf").write_text(_AVAHI.format(name="shelf1-a"))
        self.log = self.root / "log"
        self._bus_process = self._start("dbus-daemon", f"--config-file={self.root / 'bus.conf'}", "--nofork")
        until(self._bus.exists, self.log.read_text)
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Of the bus, as DBUS_SYSTEM_BUS_ADDRESS has it."""
        return f"unix:path={self._bus}"

    def start(self) -> Avahi:
        """Start the daemon, and wait until it serves."""
        options = ("--no-drop-root", "--no-chroot", "--no-rlimits", "-f", str(self.root / "avahi.conf"))
        before = self.log.read_text().count("Server startup complete")
        self._daemon = self._start("avahi-daemon", *options)
        until(lambda: self.log.read_text().count("Server startup complete") > before, self.log.read_text)
        return self

    def stop(self) -> None:
        """Stop the daemon; the bus stays."""
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(DEADLINE_S)
            self._daemon = None

    def close(self) -> None:
        """Stop both."""
        self.stop()
        self._bus_process.terminate()
        self._bus_process.wait(DEADLINE_S)
        self._bus.unlink(missing_ok=True)

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        script = 'mkdir -p /run/dbus /run/avahi-daemon; exec "$@"'
        argv = self._controller.machine.enter(["sh", "-c", script, "sh", *words])
        environment = {"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": self.address}
        with self.log.open("ab") as log:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


class MulticastClient:
    """A machine at the far end of a cable of a controller, which asks and listens by mDNS. `address`: its own."""

    def __init__(self, controller: Controller, link: str = "e0", address: str = "10.0.0.99") -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up; echo ready; exec cat >/dev/null"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._holder.stdout is not None and self._holder.stdout.readline() == b"ready\n"
        pid = self._holder.pid
        controller.ip(f"link set {link}-far netns {pid}")
        enter = ["nsenter", f"--target={pid}", "--net", "--", "ip"]
        for words in (("address", "add", f"{address}/24", "dev", f"{link}-far"), ("link", "set", f"{link}-far", "up")):
            subprocess.run([*enter, *words], check=True, timeout=DEADLINE_S)
        self._socket = self._inside(lambda: _listener(address))

    def close(self) -> None:
        """End the machine."""
        self._socket.close()
        for stream in (self._holder.stdin, self._holder.stdout):
            if stream is not None:
                stream.close()
        self._holder.wait(DEADLINE_S)

    def find(self, name: str, kind: str = "A") -> str:
        """The first address that is answered; asks again each second, for as long as tests wait."""
        return self._heard(name, kind, True, asks=True)

    def until_goodbye(self, name: str, kind: str = "A") -> str:
        """Wait for the record with the TTL 0 (RFC 6762, 10.1), and return its data."""
        return self._heard(name, kind, False, asks=False)

    @contextlib.contextmanager
    def defending(self, name: str, address: str) -> Iterator[None]:
        """Have this name with another address, and say so to every machine that asks or probes (RFC 6762, 8.1)."""
        done, wanted = threading.Event(), dns.name.from_text(name)
        # Type A with the cache-flush bit in its class, a TTL of 120 s, four bytes of data.
        record = wanted.to_wire() + struct.pack("!HHIH", 1, 0x8001, 120, 4) + socket.inet_aton(address)
        answer = struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, 0) + record

        def defend() -> None:
            self._socket.settimeout(0.05)
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    data, _ = self._socket.recvfrom(9_000)
                    if any(question.name == wanted for question in dns.message.from_wire(data).question):
                        self._socket.sendto(answer, (GROUP, PORT))

        thread = threading.Thread(target=defend)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(DEADLINE_S)

    def _heard(self, name: str, kind: str, alive: bool, *, asks: bool) -> str:
        query = dns.message.make_query(name, kind)
        query.flags, query.id = dns.flags.Flag(0), 0
        end_s, wanted = time.monotonic() + DEADLINE_S, dns.name.from_text(name)
        while time.monotonic() < end_s:
            if asks:
                self._socket.sendto(query.to_wire(), (GROUP, PORT))
            until_s = time.monotonic() + 1
            while (left_s := until_s - time.monotonic()) > 0:
                self._socket.settimeout(left_s)
                try:
                    data, _ = self._socket.recvfrom(9_000)
                except TimeoutError:
                    break
                for one in dns.message.from_wire(data).answer:
                    if one.name == wanted and one.rdtype == dns.rdatatype.from_text(kind) and bool(one.ttl) == alive:
                        # The class has the cache-flush bit, so the data is not decoded (RFC 6762, 10.2).
                        raw = one[0].to_wire()
                        return socket.inet_ntop(socket.AF_INET if kind == "A" else socket.AF_INET6, raw or b"")
        raise AssertionError(f"{name} {kind} was not heard")

    def _inside(self, function: Callable[[], socket.socket]) -> socket.socket:
        return inside(self._holder.pid, ("net",), function)


def _listener(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("", PORT))
    own = socket.inet_aton(address)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4s", socket.inet_aton(GROUP), own))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    return made
