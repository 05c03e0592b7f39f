"""CARP on the wire of a real pair: wrong passwords, strangers with our VHID, a second master, what was recorded.

None of it moves anybody: the disks decide. All of it is told.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from reconciler.core.failover.carp.advertisement import Advertisement, carp_key, encode_advertisement
from reconciler.core.failover.carp.monitor import first_counter
from reconciler.core.failover.heartbeats.authentication import Purpose, derive
from reconciler.core.failover.reservations.key import Side
from reconciler.core.status.watchdog import CarpStatus
from tests.wait import DEADLINE_S
from tests.watchdog.pair import ROOT, SECRET, VIRTUAL4, VIRTUAL6, Head, Pair

#: What follows from the pair's secret, as the watchdog derives it.
PASSWORD = derive(SECRET, Purpose.CARP).material[:10].hex()[:19]
VHID = 79
#: Says advertisements (hexadecimal, a line each) on an interface, whenever it is given one.
SPEAKER = """
import socket, sys
from ipaddress import IPv4Address
from reconciler.system.carp import CarpSocket, Family
carp = CarpSocket(Family.IPV4, socket.if_nametoindex(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    print(carp.send(bytes.fromhex(line), IPv4Address(sys.argv[2])) or "sent", flush=True)
"""


def carp(head: Head) -> CarpStatus:
    """What the status says of net0."""
    status = head.status()
    assert status is not None
    return status.carp[0]


@contextmanager
def speaker(pair: Pair, source: str) -> Iterator[subprocess.Popen[str]]:
    """Somebody at the switch."""
    process = subprocess.Popen(
        pair.lan.enter(sys.executable, "-c", SPEAKER, "lan", source),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def say(process: subprocess.Popen[str], counter: int, password: str = PASSWORD) -> None:
    """One advertisement of our virtual host."""
    key = carp_key(password.encode(), VHID, [VIRTUAL4, VIRTUAL6])
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(encode_advertisement(Advertisement(VHID, 1, 0, counter), key).hex() + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "sent\n"


def nobody_moved(pair: Pair) -> None:
    assert (pair.a.phase, pair.b.phase) == ("active", "standby")
    assert pair.b.went() == ["standby"]
    with pair.client() as client:
        client.until_answered()


def test_another_password_on_one_controller_is_told_and_hinders_no_takeover(pair: Pair) -> None:
    path = pair.b.root / "carp"
    path.write_text("quite another")
    path.chmod(0o600)
    pair.b.node.write_text(pair.b.node.read_text() + 'carp_password = "carp"\n')
    pair.settle()
    pair.until(lambda: "CARP_PASSWORD" in pair.b.reasons())
    assert carp(pair.b).role == ""
    nobody_moved(pair)
    pair.fault("power-off", "a")
    pair.until_phases(b="active")
    pair.until(lambda: carp(pair.b).role == "MASTER")


def test_a_stranger_with_our_vhid_is_told_and_takes_nothing(pair: Pair, tmp_path: Path) -> None:
    pair.settle()
    secret, script = tmp_path / "ucarp-password", tmp_path / "script"
    secret.write_text("of somebody else")
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    # The best master there is: it would win every election.
    options = ["-s", "10.79.0.1", "-v", str(VHID), "-o", str(secret), "-a", "10.79.0.200", "-b", "1", "-k", "0", "-P"]
    stranger = subprocess.Popen(
        pair.lan.enter("ucarp", "-i", "lan", *options, "-f", "none", "-u", str(script), "-d", str(script)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for head in pair.both():
            pair.until(lambda head=head: {"CARP_PASSWORD", "CARP_STRANGER"} & head.reasons())
        nobody_moved(pair)
    finally:
        stranger.kill()
        stranger.wait(DEADLINE_S)


def until_told(pair: Pair, process: subprocess.Popen[str], first: int, code: str) -> None:
    """Advertise with rising counters until a says so."""
    counters = count(first)

    def told() -> bool:
        say(process, next(counters))
        return code in pair.a.reasons()

    pair.until(told)


def test_a_stranger_with_our_password_is_told_from_the_peer_by_its_counters(pair: Pair) -> None:
    pair.settle()
    with speaker(pair, "10.79.0.12") as process:
        until_told(pair, process, 1 << 62, "CARP_STRANGER")
        assert "DISAGREE_VIP" not in pair.a.reasons()
        nobody_moved(pair)


def test_a_second_master_is_told_and_the_disks_decide(pair: Pair) -> None:
    pair.settle()
    incarnation = json.loads((pair.b.state / "watchdog" / "incarnation").read_text())["incarnation"]
    with speaker(pair, "10.79.0.12") as process:
        until_told(pair, process, first_counter(incarnation, Side.B) + 1, "DISAGREE_VIP")
        nobody_moved(pair)


def test_advertisements_played_again_make_no_master(pair: Pair) -> None:
    pair.settle()
    pair.until(lambda: carp(pair.b).heard > 0)
    with speaker(pair, "10.79.0.11") as process:
        # a's own address and a counter long past.
        heard = carp(pair.a).heard
        for _ in range(10):
            say(process, 5)
        say(process, 6, password="wrong")
        pair.until(lambda: carp(pair.b).bad > 0)
        assert carp(pair.a).heard == heard
        assert "DISAGREE_VIP" not in pair.a.reasons()
    nobody_moved(pair)


def test_without_any_advertisement_nobody_moves(pair: Pair) -> None:
    pair.settle()
    pair.until(lambda: carp(pair.b).role == "BACKUP")
    rules = 'add table netdev mute; add chain netdev mute out { type filter hook egress device "net0" priority 0; }; '
    rules += "add rule netdev mute out ip protocol 112 drop; add rule netdev mute out ip6 nexthdr 112 drop"
    subprocess.run(pair.a.room.enter("nft", rules), check=True, timeout=DEADLINE_S)
    pair.until(lambda: carp(pair.b).role == "")
    nobody_moved(pair)
