"""How the pair starts: one alone, both disabled, both in either order, and over disks that another machine reserved.

Each test ends with `verify`. Quiet times come from the controller's timeline, so they count by its own clock.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.failover.reservations.key import Key, Side, encode_key
from tests.lab.image import Image
from tests.lab.machine import Machine, project_shares
from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import WAIT_S, Head
from tests.lab.pair.sg_persist import TYPE, Reserved, asking, parse

pytestmark = pytest.mark.timeout(1_800)
#: The key of a machine that is no controller of this pair.
FOREIGN = 0x77


def off(pair: EmulatedPair) -> None:
    """Cut the power of both, the standby first, so that it does not take over."""
    active = pair.active()
    pair.other(active).pull_the_plug()
    active.pull_the_plug()


def quiet_ms(head: Head, since: int) -> int:
    """Return how many milliseconds it was standby before its first claim, by its own clock."""
    # Of several moments with one key the dictionary keeps the last.
    moments = {event.new: event.mono_ms for event in reversed(head.events(since)) if event.mark == "phase"}
    return moments["claiming"] - moments["standby"]


@pytest.mark.parametrize("side", list(Side))
def test_one_alone_serves_after_its_quiet_time(pair: EmulatedPair, side: Side) -> None:
    timers = pair.orders.timers
    alone = pair.a if side is Side.A else pair.b
    least_ms = timers.boot_ms if side is pair.orders.default else timers.boot_ms + timers.yield_ms
    off(pair)
    mark = alone.mark()
    with pair.client() as client:
        pair.boot(alone)
        pair.taken_over(alone, mark)
        client.until_answered()
    assert set(alone.codes(mark, "claiming")) == {"PEER_ABSENT"}
    waited_ms = quiet_ms(alone, mark)
    pair.say(f"{side} waited {waited_ms / 1_000:.1f} s for the other")
    assert waited_ms >= least_ms
    assert pair.verify() is alone
    pair.boot(pair.other(alone))
    assert pair.well() is alone, "who comes late takes nothing"


@pytest.mark.parametrize("default", list(Side))
@pytest.mark.parametrize("first", list(Side))
def test_of_two_that_boot_the_default_serves_whichever_starts_first(
    pair: EmulatedPair, default: Side, first: Side
) -> None:
    off(pair)
    pair.publish(default=default)
    marks = {head: head.mark() for head in pair.heads}
    one, other = pair.heads if first is Side.A else reversed(pair.heads)
    for head in pair.heads:
        head.launch()
    for head in pair.heads:
        head.ready()
    one.start()
    pair.until(lambda: one.phase == "standby", f"{one.side} is up")
    other.start()
    chosen = pair.well()
    assert chosen.side is default
    assert set(chosen.codes(marks[chosen], "claiming")) <= {"NO_OWNER", "PEER_ABSENT"}
    assert pair.other(chosen).codes(marks[pair.other(chosen)], "claiming") == []
    assert pair.verify() is chosen


def force(pair: EmulatedPair, head: Head) -> None:
    """Force it by the command, again if a disk was slow to answer the claim."""
    words = ("force-activate", "--word", head.machine.name, "--node", "/root/node.toml")

    def forced() -> bool:
        done = head.machine.run(head.python("reconciler.cli.entry", *words), WAIT_S)
        pair.say(f"{done.out}{done.err}".strip().splitlines()[-1])
        return done.status == 0

    pair.until(forced, "it is forced")


def test_where_failover_is_disabled_both_stay_standby_until_a_person_forces_one(pair: EmulatedPair) -> None:
    off(pair)
    pair.publish(enabled=False)
    forced = pair.b
    marks = [head.mark() for head in pair.heads]
    with pair.client() as client:
        pair.boot()
        pair.until(lambda: all(head.phase == "standby" for head in pair.heads), "both are standby")
        pair.until_followed()
        with pair.no_failover():
            pair.pass_time(pair.orders.timers.boot_ms / 1_000)
        for head, mark in zip(pair.heads, marks, strict=True):
            assert head.codes(mark, "claiming") == []
            assert "NO_FAILOVER" in {reason.code for reason in head.known().reasons}
        force(pair, forced)
        pair.taken_over(forced, marks[1])
        client.until_answered()
    assert set(forced.codes(marks[1], "claiming")) == {"FORCED"}
    assert pair.verify() is forced
    pair.first_orders()
    assert pair.well() is forced, "enabling moves nobody"


def seize(stranger: Machine, names: tuple[str, ...]) -> None:
    """Reserve every disk with the foreign key, by sg_persist(8)."""
    for disk in parse(stranger.check(asking(names))):
        assert disk.holder is not None
        place, own = f"/dev/disk/by-id/{disk.disk}", f"{FOREIGN:x}"
        stranger.check(
            f"sg_persist -n -o --register-ignore --param-sark={own} {place} && sg_persist -n -o --preempt "
            f"--param-rk={own} --param-sark={encode_key(disk.holder):x} --prout-type=5 {place}"
        )


def test_a_claim_goes_through_the_key_of_a_machine_that_is_no_more(
    pair: EmulatedPair, storage_image: Image, tmp_path: Path
) -> None:
    off(pair)
    names, foreign, within = pair.orders.disks, Key(None, FOREIGN), pair.target.within
    devices, shares = pair.target.devices("stranger"), project_shares()
    with Machine(storage_image, tmp_path, name="stranger", shares=shares, devices=devices, within=within) as stranger:
        for name in names:
            stranger.until(f"[ -e /dev/disk/by-id/{name} ]", WAIT_S)
        seize(stranger, names)
        assert parse(stranger.check(asking(names))) == tuple(
            Reserved(name, (foreign,), foreign, TYPE) for name in names
        )
    pair.say(f"a machine that is no more holds every disk with the key {FOREIGN:#x}")
    marks = [head.mark() for head in pair.heads]
    pair.boot()
    new = pair.well()
    pair.tell(new, marks[pair.heads.index(new)])
    # The check expects our key on every disk, and no other.
    assert pair.verify() is new
