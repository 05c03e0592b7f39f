"""The pair's secret changes while clients are served; a wrong one on one controller interrupts no client."""

from __future__ import annotations

from typing import Final

import pytest

from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import SECRET, Head
from tests.lab.pair.test_reasons import told

pytestmark = pytest.mark.timeout(1_800)
MISTYPED: Final = SECRET.replace(b"secret", b"sercet")


def done(head: Head, *words: str, given: str = "") -> str:
    """Run a step of `hagit secret`, which must succeed. Returns what it printed."""
    status, text = head.run_hagit("secret", *words, given=given)
    assert status == 0, f"{head.side}: hagit secret {' '.join(words)} ended with {status}: {text}"
    return text


def in_force(pair: EmulatedPair) -> set[tuple[str, tuple[str, ...]]]:
    """Return which secrets both use and accept, as fingerprints."""
    found = set()
    for head in pair.heads:
        said = head.known().secret
        assert said is not None
        found.add((said.current, said.accepted))
    return found


def test_the_secret_is_changed_while_both_serve(pair: EmulatedPair) -> None:
    active, standby, _ = pair.roles()
    ((before, _),) = in_force(pair)
    written = active.acknowledged
    with pair.no_failover(), pair.client() as client:
        client.until_answered()
        done(active, "new")
        secret = active.machine.check("cat /root/secret.next").strip()
        status, text = active.run_hagit("secret", "use")
        assert status == 1 and "is not known to accept" in text, text
        done(standby, "import", "-", given=secret)
        for head in (active, standby):
            pair.until(lambda head=head: head.run_hagit("secret", "use")[0] == 0, f"{head.side} uses the new secret")
        # As the agent does: the secret in use seals orders.
        for head in pair.heads:
            head.secret = secret.encode()
            head.publish(pair.orders)
        for head in (standby, active):
            pair.until(lambda head=head: head.run_hagit("secret", "drop")[0] == 0, f"{head.side} drops the old secret")
        ((after, accepted),) = in_force(pair)
        assert after != before and accepted == ()
        pair.until(lambda: active.acknowledged > written, "the active controller writes on")
        client.until_answered()
        assert not {code for head in pair.heads for code in told(head) if "SECRET" in code or "REFUSED" in code}
    pair.say(f"secret {before} became {after}; silence of the client {client.silence_ms:.0f} ms")
    mark = standby.mark()
    active.pull_the_plug()
    pair.taken_over(standby, mark)
    assert pair.verify() is standby


def test_a_mistyped_secret_on_the_standby_fences_nobody(pair: EmulatedPair) -> None:
    """It decodes neither beats nor records, but sees them change: the active controller lives."""
    active, standby, _ = pair.roles()
    right, written = standby.secret, active.acknowledged
    standby.pull_the_plug()
    standby.secret = MISTYPED
    standby.publish(pair.orders)
    marks = active.mark(), standby.mark()
    pair.boot(standby)
    try:
        pair.until(lambda: standby.phase == "standby", "the standby has judged its peer")
        pair.until(lambda: "PEER_NOT_UNDERSTOOD" in told(standby), "the standby does not understand its peer")
        pair.until(lambda: "PEER_NOT_UNDERSTOOD" in told(active), "the active controller does not understand its peer")
        with pair.no_failover():
            pair.networks(up=False)
            pair.pass_time(3 * pair.orders.timers.stale_ms / 1_000 + 10)
            pair.networks(up=True)
        assert (active.phase, standby.phase) == ("active", "standby")
        assert [event.new for event in active.events(marks[0]) if event.mark == "phase"] == []
        assert standby.codes(marks[1], "claiming") == []
        pair.until(lambda: active.acknowledged > written, "the active controller writes on")
    finally:
        standby.secret = right
        standby.publish(pair.orders)
    standby.machine.check(f"printf %s '{right.decode()}' >/root/secret")
    assert pair.well() is active
    pair.until(
        lambda: not any("PEER_NOT_UNDERSTOOD" in told(head) for head in pair.heads), "they understand each other"
    )
    assert pair.verify() is active
