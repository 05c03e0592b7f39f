"""The pair's secret while real daemons run: changed without a gap, mistyped on either side, and unfit."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reconciler.core.failover.heartbeats.keyring import fingerprint, fingerprint_text
from reconciler.core.status.watchdog import SecretStatus
from reconciler.system.control_protocol import RequestKind
from reconciler.system.secret import next_path
from tests.wait import DEADLINE_S
from tests.watchdog.pair import ORDERS, PATIENT, ROOT, SECRET, Head, Pair

TYPO = b"a secret of the tests, mistyped in one place for every seal"
OLD_PRINT = fingerprint_text(fingerprint(SECRET))
#: What says that a controller does not understand the other now.
DEAF = {"NO_PONG", "NO_HEARTBEAT", "RECORD_REFUSED", "PEER_NOT_UNDERSTOOD"}
#: And what says that it did not understand it within the last minute.
WAS_DEAF = {*DEAF, "HEARTBEAT_REFUSED", "CARP_PASSWORD"}


def secret_file(head: Head) -> Path:
    return head.root / "secret"


def put(path: Path, secret: bytes) -> None:
    """What a person or a command does: a file for root alone, replaced whole."""
    made = path.with_name(f"{path.name}.made")
    made.write_bytes(secret)
    made.chmod(0o600)
    made.replace(path)


def secrets(head: Head) -> SecretStatus:
    status = head.status()
    return (status.secret if status is not None else None) or SecretStatus()


def hagit(head: Head, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`hagit secret` on one controller."""
    argv = [sys.executable, "-m", "reconciler.cli.entry", "--node", str(head.node), "secret", *words]
    return subprocess.run(argv, cwd=ROOT, input=stdin, capture_output=True, timeout=DEADLINE_S)


def done(head: Head, *words: str, stdin: bytes = b"") -> str:
    ran = hagit(head, *words, stdin=stdin)
    assert ran.returncode == 0, (ran.stdout + ran.stderr).decode()
    return ran.stdout.decode()


def refused(head: Head, *words: str) -> str:
    ran = hagit(head, *words)
    assert ran.returncode == 1, (ran.stdout + ran.stderr).decode()
    return ran.stderr.decode()


def test_both_change_their_secret_by_the_commands_and_every_beat_is_understood(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    # Both have owned the pools: the records that a wrote then stay on the disks, under the secret of that time.
    assert pair.a.ask(RequestKind.SWITCHOVER).accepted
    pair.until_phases(a="standby", b="active")
    pair.until_ready()
    went = [head.went() for head in pair.both()]
    heads = (pair.b, pair.a)

    def both(wanted: Callable[[SecretStatus], bool]) -> None:
        for head in heads:
            pair.until(lambda head=head: wanted(secrets(head)))
            assert not head.reasons() & WAS_DEAF

    both(lambda secret: (secret.current, secret.accepted, secret.peer) == (OLD_PRINT, (), OLD_PRINT))
    assert "no next secret" in refused(pair.a, "use") and "only one secret" in refused(pair.a, "drop")
    told = done(pair.a, "new")
    new = next_path(secret_file(pair.a)).read_bytes().strip()
    number = fingerprint_text(fingerprint(new))
    assert number in told and new.decode() not in told
    assert "not known to accept" in refused(pair.a, "use"), "b could not understand it"
    assert "is the next secret already" in refused(pair.a, "new")
    done(pair.b, "import", "-", stdin=next_path(secret_file(pair.a)).read_bytes())
    both(lambda secret: secret.accepted == (number,) and secret.peer_accepts == number)
    for head in heads:
        done(head, "use")
        assert secrets(head).current == number
    both(lambda secret: secret.peer == number and secret.peer_accepts == OLD_PRINT)
    assert "orders.json is not sealed with" in refused(pair.a, "drop"), "a daemon that restarts could not read them"
    for head in heads:
        head.secret = new
        head.publish(pair.orders)
        done(head, "drop")
    both(lambda secret: (secret.current, secret.accepted, secret.peer_accepts) == (number, (), ""))
    pair.publish(default=pair.b.side)
    for head in heads:
        pair.until(lambda head=head: (status := head.status()) is not None and status.orders.equal)
        assert sorted(path.name for path in head.root.glob("secret*")) == ["secret"]
        shown = done(head)
        assert number in shown and new.decode() not in shown
    assert [head.went() for head in pair.both()] == went, "nobody moved"
    assert not any(head.reasons() & WAS_DEAF for head in heads)


def test_a_mistyped_secret_is_not_followed_while_the_pair_talks(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    put(secret_file(pair.a), TYPO)
    pair.until(lambda: "SECRET_NOT_FOLLOWED" in pair.a.reasons())
    assert secrets(pair.a).current == OLD_PRINT and secrets(pair.b).peer == OLD_PRINT
    put(secret_file(pair.a), SECRET)
    pair.until(lambda: "SECRET_NOT_FOLLOWED" not in pair.a.reasons())
    assert not pair.b.reasons() & WAS_DEAF


def test_an_active_controller_that_restarts_with_a_mistyped_secret_serves_on_and_is_left_alone(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    went = pair.b.went()
    put(secret_file(pair.a), TYPO)
    pair.fault("kill", "a")
    pair.fault("restart", "a")
    pair.until_phases(a="active", b="standby")
    pair.until(lambda: "PEER_NOT_UNDERSTOOD" in pair.b.reasons())
    pair.until(lambda: {"PEER_NOT_UNDERSTOOD", "ORDERS_REFUSED"} <= pair.a.reasons())
    longest_ms = 1.5 * max(PATIENT.stale_ms, PATIENT.silence_ms)
    pair.until(lambda: any(c.age_ms > longest_ms for c in status.channels) if (status := pair.b.status()) else False)
    assert pair.b.went() == went and pair.a.serves
    put(secret_file(pair.a), SECRET)
    for head in pair.both():
        pair.until(lambda head=head: not head.reasons() & {*DEAF, "ORDERS_REFUSED"})
    assert pair.b.went() == went and pair.a.on and pair.b.on


def test_a_standby_with_a_mistyped_secret_sees_that_the_peer_lives(pair: Pair) -> None:
    pair.settle()
    assert pair.b.stop() == 0
    put(secret_file(pair.b), TYPO)
    pair.b.secret = TYPO
    pair.b.publish(pair.orders)
    pair.b.start()
    pair.until(lambda: "PEER_NOT_UNDERSTOOD" in pair.b.reasons())
    pair.until(lambda: "PEER_NOT_UNDERSTOOD" in pair.a.reasons())
    absent_ms = 1.1 * (pair.orders.timers.boot_ms + pair.orders.timers.yield_ms)
    pair.until(lambda: status.at_ms - status.since_ms > absent_ms if (status := pair.b.status()) else False)
    assert (pair.a.phase, pair.b.phase) == ("active", "standby")
    put(secret_file(pair.b), SECRET)
    for head in pair.both():
        pair.until(lambda head=head: not head.reasons() & DEAF)
    assert (pair.a.phase, pair.b.phase) == ("active", "standby")


def test_an_active_controller_starts_with_a_secret_that_others_may_read_and_takes_it_once_it_is_fit(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    went = pair.b.went()
    secret_file(pair.a).chmod(0o644)
    pair.until(lambda: "SECRET_UNFIT" in pair.a.reasons())
    assert secrets(pair.a).current == OLD_PRINT, "what is in force stays so"
    pair.fault("kill", "a")
    pair.fault("restart", "a")
    pair.until_phases(a="active", b="standby")
    pair.until(lambda: "SECRET_UNFIT" in pair.a.reasons() and "PEER_NOT_UNDERSTOOD" in pair.b.reasons())
    secret_file(pair.a).chmod(0o600)
    for head in pair.both():
        pair.until(lambda head=head: not head.reasons() & {*DEAF, "SECRET_UNFIT", "ORDERS_REFUSED"})
    assert pair.b.went() == went and pair.a.phase == "active"
