"""A machine that was cloned with a controller's boot disk beats on the air; and a controller that is another unit."""

import subprocess
import sys

import pytest

from reconciler.core.failover.orders.document import orders_key
from reconciler.core.failover.orders.hardware_unit import Unit, unit_document
from reconciler.core.failover.reservations.key import Side
from reconciler.system.control_protocol import RequestKind
from tests.watchdog.pair import ROOT, SECRET, Pair

#: The secret that the pair changes to; the clone may have it in force already.
NEXT = bytes(reversed(SECRET))
#: Runs where the bridge is: beats of a standby `b`, from a machine with another number, until its input ends.
CLONE = """
import socket, sys, threading, time
from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.heartbeats.wire import datagram_way, encode_datagram
from reconciler.system.frames import ETHER_TYPE, GROUP
way = datagram_way(bytes.fromhex(sys.argv[2]), sys.argv[1], "net0", Side.B)
head = GROUP + bytes.fromhex("020000000099") + ETHER_TYPE.to_bytes(2)
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
counter = 0
while not ended.wait(0.05):
    counter += 1
    beat = Beat(Side.B, 1, counter, 0, Phase.STANDBY, machine=0xC10E)
    out.sendto(head + encode_datagram(beat, way), ("b-net0", 0))
"""


@pytest.mark.parametrize("secret", [SECRET, NEXT], ids=["its secret", "the next secret"])
def test_a_standby_that_hears_its_clone_takes_nothing_until_the_clone_is_off(pair: Pair, secret: bytes) -> None:
    following = pair.b.root / "secret.next"
    following.write_bytes(NEXT)
    following.chmod(0o600)
    pair.settle()
    command = pair.lan.enter(sys.executable, "-c", CLONE, pair.orders.pair, secret.hex())
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as clone:
        assert clone.stdin is not None
        pair.until(lambda: "TWIN" in pair.b.reasons())
        answer = pair.b.ask(RequestKind.FORCE_ACTIVATE, word="right")
        assert "another machine runs as this controller" in str(answer)
        pair.fault("power-off", "a")
        pair.until(lambda: "NO_PONG" in pair.b.reasons())
        pair.until(lambda: "TWIN" in pair.b.reasons())
        assert pair.b.phase == "standby"
        clone.stdin.write(b"off\n")
        clone.stdin.close()
    pair.until_phases(b="active")
    assert "TWIN" not in pair.b.reasons()


def test_a_controller_that_is_another_unit_stays_standby_and_says_so(pair: Pair) -> None:
    unit = Unit(pair.orders.pair, Side.B, ("the serial number of another machine",))
    (pair.b.state / "unit.json").write_bytes(unit_document(unit, orders_key(SECRET)))
    serial = pair.b.root / "serial"
    serial.write_text("this one\n")
    pair.b.node.write_text(pair.b.node.read_text() + f"[files]\nserial = '{serial}'\n")
    pair.boot()
    pair.until_phases(a="active", b="standby")
    pair.until(lambda: "OTHER_UNIT" in pair.b.reasons())
    pair.fault("power-off", "a")
    pair.until(lambda: "NO_PONG" in pair.b.reasons())
    assert pair.b.phase == "standby"
    assert "is not the unit" in str(pair.b.ask(RequestKind.FORCE_ACTIVATE, word="right"))
    unit = Unit(pair.orders.pair, Side.B, ("this one",))
    (pair.b.state / "unit.json").write_bytes(unit_document(unit, orders_key(SECRET)))
    pair.until_phases(b="active")
