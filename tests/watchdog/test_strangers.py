"""Heartbeats of strangers: another secret, played again, reflected, malformed. None is followed, each is told."""

import subprocess
import sys

from reconciler.system.frames import ETHER_TYPE, GROUP
from tests.watchdog.pair import ROOT, Pair
from tests.watchdog.test_cables import refused

#: Runs where the bridge is: records heartbeats of both controllers, then repeats them and sends rubbish for a while.
REPEATER = f"""
import socket, sys
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
tap.bind(("lan", 3))
kept = []
while len(kept) < 20:
    data = tap.recv(2000)
    if data[:6] == {GROUP!r} and len(data) >= 14 + 376:
        kept.append(data)
print("recorded", flush=True)
sys.stdin.readline()
head = {GROUP!r} + bytes.fromhex("020000000099") + ({ETHER_TYPE}).to_bytes(2)
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
for port in ("a-net0", "b-net0"):
    forged = [data[:-1] + bytes([data[-1] ^ 1]) for data in kept]
    for data in kept + forged + [head + b"x" * 60, head + bytes(376)]:
        out.sendto(data, (port, 0))
print("repeated", flush=True)
"""


def test_what_was_recorded_keeps_nobody_alive(pair: Pair) -> None:
    pair.settle()
    process = subprocess.Popen(
        pair.lan.enter(sys.executable, "-c", REPEATER),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        assert process.stdout.readline() == b"recorded\n"
        pair.fault("power-off", "a")
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"repeated\n"
        process.stdin.close()
    pair.until_phases(b="active")
    for words in (
        "not as long as such bytes are",
        "sealed with another secret",
        "not written by hagit",
        "received before",
    ):
        pair.until(lambda words=words: words in refused(pair.b))


def test_controllers_with_different_secrets_do_not_hear_each_other_and_say_why(pair: Pair) -> None:
    other = b"another secret, which somebody put on one controller only"
    pair.b.secret = other
    (pair.b.root / "secret").write_bytes(other)
    pair.b.publish(pair.orders)
    pair.a.boot()
    pair.until_phases(a="active")
    pair.b.boot()
    pair.until(lambda: {"HEARTBEAT_REFUSED", "NO_PONG"} <= pair.b.reasons())
    pair.until(lambda: {"HEARTBEAT_REFUSED", "NO_PONG"} <= pair.a.reasons())
    pair.until(lambda: "RECORD_REFUSED" in pair.b.reasons())
    assert pair.a.phase == "active"
