"""Two claims over one shelf, in every order in which their commands can reach the disks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from reconciler.core.failover.orders.orders import Vdev
from reconciler.core.failover.reservations.claim import (
    Answer,
    Claim,
    ClaimStage,
    Command,
    Part,
    Reply,
    Verb,
    Visit,
    advance,
    begin,
    commands,
)
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import DiskView, Fence, fence
from reconciler.simulation.disk import Disk, answer
from reconciler.simulation.timed.stories import PAIR as LARGE

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

    def moved(
        self, side: int, *, silent: frozenset[int] = frozenset(), unheard: frozenset[Verb] = frozenset()
    ) -> "Race | None":
        """After the next command of one side, to its first disk; None when it is at its end."""
        orders = commands(self.claims[side])
        return self.asked(side, orders[0], silent=silent, unheard=unheard) if orders else None

    def asked(
        self, side: int, order: Command, *, silent: frozenset[int] = frozenset(), unheard: frozenset[Verb] = frozenset()
    ) -> "Race":
        """After one command of one side. Unit attentions and counts do not matter.

        `silent` disks do not execute; what is `unheard` is executed, and its answer is lost.
        """
        if order.disk in silent:
            disk, reply = self.shelf[order.disk], Reply(Answer.SILENT)
        else:
            disk, reply = answer(self.shelf[order.disk], SIDES[side], order)
        if order.verb in unheard:
            reply = Reply(Answer.SILENT)
        disk = replace(disk, generation=0, attention=frozenset())
        shelf = (*self.shelf[: order.disk], disk, *self.shelf[order.disk + 1 :])
        after = advance(self.claims[side], order.disk, reply)
        return Race(shelf, (after, self.claims[1]) if side == 0 else (self.claims[0], after))

    def ended(self, side: int) -> "Race":
        """After all the commands that one side still has."""
        race = self
        while (after := race.moved(side)) is not None:
            race = after
        return race

    def verdict(self, side: int) -> Fence | None:
        """How a claim ended; None while it runs."""
        claim = self.claims[side]
        if claim.part is not Part.DONE:
            return None
        return fence(replace(PAIR, side=SIDES[side]), claim.key.epoch, claim.result, frozenset())[0]


def owned(side: Side, epoch: int) -> Shelf:
    """A shelf that one controller has claimed, alone."""
    claim, shelf = begin(replace(PAIR, side=side), Key(side, epoch)), BLANK
    return Race(shelf, (claim, claim)).ended(SIDES.index(side)).shelf


def choices(claim: Claim) -> tuple[Command, ...]:
    """Disks are swept in any order, but one visit after the other, and looked at in theirs: else there are too many."""
    orders, going = commands(claim), [visit.disk for visit in claim.visits if visit.stage is not ClaimStage.LOOK]
    if claim.part is not Part.SWEEP:
        return orders[:1]
    return tuple(order for order in orders if order.disk in going) or orders


def reached(shelf: Shelf, epochs: tuple[int, int]) -> Iterator[Race]:
    """Every state that two claims can reach together."""
    first = Race(shelf, tuple(begin(replace(PAIR, side=side), Key(side, epoch))
                              for side, epoch in zip(SIDES, epochs, strict=True)))  # type: ignore[arg-type]  # fmt: skip
    known, queue = {first}, [first]
    while queue:
        race = queue.pop()
        yield race
        assert len(known) < 200_000, "two claims that never end"
        for side in (0, 1):
            for order in choices(race.claims[side]):
                after = race.asked(side, order)
                if after not in known:
                    known.add(after)
                    queue.append(after)


SHELVES = {"blank": BLANK, "a's": owned(Side.A, 1), "b's": owned(Side.B, 1)}
EPOCHS = ((2, 2), (2, 3), (3, 2))
races = pytest.mark.parametrize("epochs", EPOCHS, ids=str)
shelves = pytest.mark.parametrize("shelf", SHELVES.values(), ids=SHELVES)


@shelves
@races
def test_at_most_one_of_two_claims_fences_unless_a_later_one_follows(shelf: Shelf, epochs: tuple[int, int]) -> None:
    """Two claims that end well with the same number would both import."""
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
            for order in commands(claim):
                if order.verb is not Verb.LOOK and order.disk not in PAIR.arbitration:
                    assert claim.decided


@shelves
@races
def test_both_go_through_the_arbitration_disks_in_one_order(shelf: Shelf, epochs: tuple[int, int]) -> None:
    """One after the other, until the race is decided; then all others at once."""
    swept = set()
    for race in reached(shelf, epochs):
        for claim in race.claims:
            known = claim.won | claim.lost
            if claim.part is Part.RACE:
                assert not claim.decided
                assert [visit.disk for visit in claim.visits] == [PAIR.arbitration[len(known)]]
            elif claim.part is Part.SWEEP:
                assert claim.decided
                swept.add(len(claim.visits))
    assert max(swept) == len(PAIR.disks) - PAIR.majority


@shelves
@races
def test_who_loses_the_majority_leaves_no_registration_behind(shelf: Shelf, epochs: tuple[int, int]) -> None:
    """The loser could write wherever it is still registered."""
    for race in reached(shelf, epochs):
        for side in (0, 1):
            loser = race.claims[1 - side]
            withdrew = loser.part is Part.DONE and len(loser.lost) >= PAIR.majority
            if withdrew and race.verdict(side) is Fence.HOLDS:
                assert all(len(disk.view().registered) == 1 for disk in race.shelf)


@shelves
@pytest.mark.parametrize("side", [0, 1], ids=["a", "b"])
def test_a_claim_without_a_rival_fences_every_disk(shelf: Shelf, side: int) -> None:
    stray = replace(shelf[3], keys=(Key(Side.A, 1), Key(Side.B, 1)))
    for start in (shelf, (*shelf[:3], stray, *shelf[4:])):
        race = Race(start, (begin(PAIR, Key(Side.A, 2)), begin(replace(PAIR, side=Side.B), Key(Side.B, 2))))
        assert race.ended(side).verdict(side) is Fence.HOLDS


@shelves
@pytest.mark.parametrize("disk", range(len(PAIR.disks)))
def test_a_disk_that_is_silent_at_the_last_look_is_not_taken_for_fenced(shelf: Shelf, disk: int) -> None:
    """Only the last look counts, whatever happened to the claim before."""
    race = Race(shelf, (begin(PAIR, Key(Side.A, 2)),) * 2)
    while (moved := race.moved(0, silent=frozenset({disk} if race.claims[0].part is Part.VERIFY else ()))) is not None:
        race = moved
    assert race.verdict(0) is Fence.BROKEN


@shelves
def test_at_most_one_of_two_equal_claims_gets_beyond_the_arbitration_disks(shelf: Shelf) -> None:
    """What it believes to have won does not count here: both would have to be there."""
    for race in reached(shelf, (2, 2)):
        assert not all(claim.part in (Part.SWEEP, Part.RETURN, Part.VERIFY) for claim in race.claims)


@shelves
@races
def test_a_claim_that_ended_without_its_fence_leaves_no_registration_under_another_holder(
    shelf: Shelf, epochs: tuple[int, int]
) -> None:
    """Also the winner that a later claim overtook before its last look."""
    for race in reached(shelf, epochs):
        if any(claim.part is not Part.DONE for claim in race.claims):
            continue
        for side in (0, 1):
            if race.verdict(side) is Fence.BROKEN:
                left = [disk for disk in race.shelf if disk.holder is SIDES[1 - side]]
                assert all(disk.key(SIDES[side]) != race.claims[side].key for disk in left)


@shelves
def test_the_winner_returns_to_the_disks_where_its_rival_was_first(shelf: Shelf) -> None:
    """A rival that has withdrawn by the second visit leaves nothing in the way of the fence."""
    tried = 0
    for race in reached(shelf, (2, 2)):
        for side in (0, 1):
            winner, rival = race.claims[side], race.claims[1 - side]
            begun = all(visit.stage is ClaimStage.LOOK for visit in winner.visits)
            if winner.part is Part.RETURN and begun and rival.part is Part.DONE:
                tried += 1
                assert race.ended(side).verdict(side) is Fence.HOLDS
    assert tried


def test_the_second_visit_is_the_last_and_never_to_a_silent_disk() -> None:
    looks: dict[int, int] = {}
    race: Race | None = Race(BLANK, (begin(PAIR, Key(Side.A, 2)),) * 2)
    while race is not None:
        for visit in race.claims[0].visits:
            looks[visit.disk] = looks.get(visit.disk, 0) + (visit.stage is ClaimStage.LOOK)
        assert race.claims[0].part is not Part.RETURN
        race = race.moved(0, silent=frozenset({1}))
    assert looks[1] == 1
    for missed in ((3,), ()):
        claim = Claim(PAIR, NEW, Part.RETURN, (Visit(2),), won=frozenset({0, 1}), lost=frozenset({2}), missed=missed)
        rival = Key(Side.B, 3)
        assert advance(claim, 2, seen(rival, rival)).part is Part.VERIFY


def at_register(shelf: Shelf, epochs: tuple[int, int]) -> Race:
    """The claim of a has looked at its first disk, where an old key of its own is the holder."""
    claims = (begin(PAIR, Key(Side.A, epochs[0])), begin(replace(PAIR, side=Side.B), Key(Side.B, epochs[1])))
    race = Race(shelf, claims).moved(0)
    assert race is not None
    assert [visit.stage for visit in race.claims[0].visits] == [ClaimStage.REGISTER]
    return race


def test_whoever_is_preempted_before_it_registers_does_not_take_its_new_registration_for_the_reservation() -> None:
    race = at_register(SHELVES["a's"], (2, 2)).ended(1)
    assert race.verdict(1) is Fence.HOLDS
    race = race.ended(0)
    assert race.verdict(0) is Fence.BROKEN
    assert all(disk.view().registered == {Key(Side.B, 2)} for disk in race.shelf)


def test_a_second_look_that_finds_an_older_claim_of_the_peer_goes_on_as_if_it_were_the_first() -> None:
    race = at_register(SHELVES["a's"], (3, 2)).ended(1).ended(0)
    assert race.verdict(0) is Fence.HOLDS


def told(claim: Claim, *replies: Reply) -> tuple[Claim, list[str]]:
    """A claim after these answers, and the commands that it sent."""
    asked = []
    for reply in replies:
        order = commands(claim)[0]
        asked.append(f"{order.verb} {order.victim or ''}".strip())
        claim = advance(claim, order.disk, reply)
    return claim, asked


GOOD, OLD, NEW = Reply(Answer.GOOD), Key(Side.A, 1), Key(Side.A, 2)


def seen(holder: Key | None, *registered: Key) -> Reply:
    return Reply(Answer.GOOD, DiskView(True, holder, frozenset(registered)))


@pytest.mark.parametrize(
    ("second", "then"),
    [
        (seen(NEW, NEW), "look"),
        (seen(NEW, NEW, Key(Side.B, 1)), "preempt b/1"),
        (seen(NEW, NEW, OLD), "preempt a/1"),
        (seen(OLD, OLD, NEW), "preempt a/1"),
        (seen(None, NEW), "reserve"),
        (seen(Key(Side.B, 1), Key(Side.B, 1), NEW), "preempt b/1"),
    ],
    ids=["renamed", "and another's", "and a lost session's", "another session's", "gone", "an older one of the peer"],
)
def test_on_a_disk_of_our_own_the_look_after_register_says_what_to_do(second: Reply, then: str) -> None:
    _, asked = told(begin(PAIR, NEW), seen(OLD, OLD), GOOD, second, GOOD)
    assert asked == ["look", "register", "look", then]


@pytest.mark.parametrize("rival", [Key(Side.B, 2), Key(Side.B, 3)], ids=str)
def test_a_disk_that_the_peer_took_before_we_registered_is_left_again(rival: Key) -> None:
    claim, _ = told(begin(PAIR, NEW), seen(OLD, OLD), GOOD, seen(rival, rival, NEW))
    assert (claim.visits, claim.returnable, claim.lost) == ((Visit(1),), (0,), {0})
    claim, _ = told(begin(PAIR, NEW), seen(OLD, OLD), GOOD, seen(NEW, rival, NEW))
    assert claim.returnable == (), "it would leave its own disk without a holder"


def test_without_a_key_of_our_own_nothing_is_looked_at_twice() -> None:
    for shelf in (BLANK, SHELVES["b's"]):
        race, looks = Race(shelf, (begin(PAIR, NEW),) * 2), 0
        while (after := race.moved(0)) is not None:
            looks += sum(order.verb is Verb.LOOK for order in commands(race.claims[0])[:1])
            race = after
        assert looks == 2 * len(PAIR.disks), "once before, once at the end"


def test_a_preemption_that_was_done_but_not_answered_is_not_undone() -> None:
    """A claim that left the disk then would leave it without a holder."""
    race = Race(SHELVES["b's"], (begin(PAIR, NEW),) * 2)
    while (after := race.moved(0, unheard=frozenset({Verb.PREEMPT}))) is not None:
        race = after
    assert race.verdict(0) is Fence.BROKEN
    assert all(disk.holder is not None for disk in race.shelf)
