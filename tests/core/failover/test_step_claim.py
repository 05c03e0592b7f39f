"""Two claims over one shelf, in every order in which their commands can reach the disks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from reconciler.core.failover.claim import Answer, Claim, Reply, Stage, Verb, advance, begin, command
from reconciler.core.failover.hold import Fence, fence
from reconciler.core.failover.key import Key, Side
from reconciler.core.failover.orders import Vdev
from reconciler.simulation.disk import Disk, answer
from reconciler.simulation.script import PAIR as LARGE

SIDES = (Side.A, Side.B)
#: Three arbitration disks and one more, so that every order can be tried.
PAIR = replace(LARGE, disks=LARGE.disks[:4], vdevs=(*LARGE.vdevs[:1], Vdev("log", (2,), 1), Vdev("more", (3,), 1)),
               arbitration=(0, 1, 2))  # fmt: skip
Shelf = tuple[Disk, ...]
BLANK: Shelf = (Disk(),) * len(PAIR.disks)


@dataclass(frozen=True)
class Race:
    """Both claims, and the disks between them."""

    shelf: Shelf
    claims: tuple[Claim, Claim]

    def moved(self, side: int, *, silent: frozenset[int] = frozenset()) -> "Race | None":
        """After the next command of one side; None when it is at its end. Unit attentions and counts do not matter."""
        order = command(self.claims[side])
        if order is None:
            return None
        if order.disk in silent:
            disk, reply = self.shelf[order.disk], Reply(Answer.SILENT)
        else:
            disk, reply = answer(self.shelf[order.disk], SIDES[side], order)
        disk = replace(disk, generation=0, attention=frozenset())
        shelf = (*self.shelf[: order.disk], disk, *self.shelf[order.disk + 1 :])
        after = advance(self.claims[side], reply)
        return Race(shelf, (after, self.claims[1]) if side == 0 else (self.claims[0], after))

    def verdict(self, side: int) -> Fence | None:
        """How a claim ended; None while it runs."""
        claim = self.claims[side]
        if claim.stage is not Stage.DONE:
            return None
        return fence(replace(PAIR, side=SIDES[side]), claim.key.epoch, claim.views, frozenset())[0]


def owned(side: Side, epoch: int) -> Shelf:
    """A shelf that one controller has claimed, alone."""
    claim, shelf = begin(replace(PAIR, side=side), Key(side, epoch)), BLANK
    race = Race(shelf, (claim, claim))
    while (after := race.moved(SIDES.index(side))) is not None:
        race = after
    return race.shelf


def reached(shelf: Shelf, epochs: tuple[int, int]) -> Iterator[Race]:
    """Every state that two claims can bring about together."""
    first = Race(shelf, tuple(begin(replace(PAIR, side=side), Key(side, epoch))
                              for side, epoch in zip(SIDES, epochs, strict=True)))  # type: ignore[arg-type]  # fmt: skip
    known, queue = {first}, [first]
    while queue:
        race = queue.pop()
        yield race
        assert len(known) < 200_000, "two claims that never end"
        for side in (0, 1):
            after = race.moved(side)
            if after is not None and after not in known:
                known.add(after)
                queue.append(after)


SHELVES = {"blank": BLANK, "a's": owned(Side.A, 1), "b's": owned(Side.B, 1)}
EPOCHS = ((2, 2), (2, 3), (3, 2))
races = pytest.mark.parametrize("epochs", EPOCHS, ids=str)
shelves = pytest.mark.parametrize("shelf", SHELVES.values(), ids=SHELVES)


@shelves
@races
def test_at_most_one_of_two_claims_fences_unless_a_later_one_follows(shelf: Shelf, epochs: tuple[int, int]) -> None:
    """Two that end well with one number would both import."""
    ends = {(race.verdict(0), race.verdict(1)) for race in reached(shelf, epochs)}
    if epochs[0] == epochs[1]:
        assert (Fence.HOLDS, Fence.HOLDS) not in ends
    assert any(Fence.HOLDS in end for end in ends)


@shelves
@races
def test_a_fence_that_was_verified_stays_until_a_later_claim(shelf: Shelf, epochs: tuple[int, int]) -> None:
    for race in reached(shelf, epochs):
        for side in (0, 1):
            if race.verdict(side) is not Fence.HOLDS or epochs[1 - side] > epochs[side]:
                continue
            assert all(disk.view().holder == race.claims[side].key for disk in race.shelf)


@races
@pytest.mark.parametrize("shelf", [SHELVES["a's"], SHELVES["b's"]], ids=["a's", "b's"])
def test_what_has_a_holder_is_never_released_to_nobody(shelf: Shelf, epochs: tuple[int, int]) -> None:
    for race in reached(shelf, epochs):
        assert all(disk.view().holder is not None for disk in race.shelf)


@shelves
@races
def test_a_loser_touches_the_arbitration_disks_only(shelf: Shelf, epochs: tuple[int, int]) -> None:
    for race in reached(shelf, epochs):
        for claim in race.claims:
            order = command(claim)
            if order is not None and order.verb is not Verb.LOOK and order.disk not in PAIR.arbitration:
                assert claim.decided


@shelves
@races
def test_both_go_through_the_arbitration_disks_in_one_order(shelf: Shelf, epochs: tuple[int, int]) -> None:
    for race in reached(shelf, epochs):
        assert race.claims[0].order == race.claims[1].order
        assert race.claims[0].order[: len(PAIR.arbitration)] == PAIR.arbitration


@shelves
@races
def test_who_loses_the_majority_leaves_no_registration_behind(shelf: Shelf, epochs: tuple[int, int]) -> None:
    """It could write wherever it is registered."""
    for race in reached(shelf, epochs):
        for side in (0, 1):
            loser = race.claims[1 - side]
            # On disks that it held before, it may have renamed what was taken from it meanwhile.
            newcomer = all(disk.key(SIDES[1 - side]) is None for disk in shelf)
            withdrew = newcomer and loser.stage is Stage.DONE and len(loser.lost) >= PAIR.majority
            if withdrew and race.verdict(side) is Fence.HOLDS:
                assert all(len(disk.view().registered) == 1 for disk in race.shelf)


@shelves
@pytest.mark.parametrize("side", [0, 1], ids=["a", "b"])
def test_a_claim_without_a_rival_fences_every_disk(shelf: Shelf, side: int) -> None:
    stray = replace(shelf[3], keys=(Key(Side.A, 1), Key(Side.B, 1)))
    for start in (shelf, (*shelf[:3], stray, *shelf[4:])):
        race = Race(start, (begin(PAIR, Key(Side.A, 2)), begin(replace(PAIR, side=Side.B), Key(Side.B, 2))))
        while (after := race.moved(side)) is not None:
            race = after
        assert race.verdict(side) is Fence.HOLDS


@shelves
@pytest.mark.parametrize("disk", range(len(PAIR.disks)))
def test_a_disk_that_is_silent_at_the_last_look_is_not_taken_for_fenced(shelf: Shelf, disk: int) -> None:
    """Whatever was done to it before: the last look is what counts."""
    race = Race(shelf, (begin(PAIR, Key(Side.A, 2)),) * 2)
    while (
        moved := race.moved(0, silent=frozenset({disk} if race.claims[0].stage is Stage.VERIFY else ()))
    ) is not None:
        race = moved
    assert race.verdict(0) is Fence.BROKEN


def test_at_most_one_of_two_equal_claims_gets_beyond_the_arbitration_disks() -> None:
    """What it believes to have won does not count here: both would have to be there."""
    for race in reached(BLANK, (2, 2)):
        assert not all(claim.at >= len(PAIR.arbitration) for claim in race.claims)
