"""The claim: which reservation commands fence the peer, as a pure program.

The claim runs in four parts. First the race: it visits the arbitration disks one after the other in their fixed order,
until it has won the majority. The loser withdraws and touches nothing else. Then the sweep: it visits all other disks
at once, because the rival cannot be there before the winner any more. Then it returns once to every disk that answered
and was not won. At the end it looks at all disks at once, and `step` judges this last look.

Every PREEMPT AND ABORT names the exact key that the claim has read, so it is a compare-and-swap. Follows SPC-4 5.13.11.
Does not know how a command reaches a disk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.key import Key, rank
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView, Hold, for_pair, judge


class Verb(StrEnum):
    """A command to a disk.

    LOOK: READ KEYS and READ RESERVATION. REGISTER: REGISTER AND IGNORE EXISTING KEY with APTPL, on every path. RESERVE:
    type 5. PREEMPT: PREEMPT AND ABORT, type 5. UNREGISTER: REGISTER with service action key 0. EXTEND: REGISTER on only
    those paths that a completion keeps (`fence_completion`); a claim never sends it.
    """

    LOOK = "look"
    REGISTER = "register"
    RESERVE = "reserve"
    PREEMPT = "preempt"
    UNREGISTER = "unregister"
    EXTEND = "extend"


class Answer(StrEnum):
    """Outcome of a command. SILENT: the disk refused the command, timed out or is gone."""

    GOOD = "good"
    CONFLICT = "conflict"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Command:
    """One command to one disk (an index into the orders). `victim`: the key that a PREEMPT removes."""

    verb: Verb
    disk: int
    key: Key
    victim: Key | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a disk. `view`: the keys and the reservation that a LOOK has read."""

    answer: Answer
    view: DiskView = UNANSWERED


class ClaimStage(StrEnum):
    """Stage of a visit to a disk.

    CONFIRM: a second look, on disks that had a key of our side before we registered.
    """

    LOOK = "look"
    REGISTER = "register"
    CONFIRM = "confirm"
    SEIZE = "seize"
    EVICT = "evict"


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit to one disk. `view`: the state of the disk by its answers so far."""

    disk: int
    stage: ClaimStage = ClaimStage.LOOK
    view: DiskView = UNANSWERED


class Part(StrEnum):
    """Stage of a claim. RETURN: visiting, a second time, the disks that answered and were not won."""

    RACE = "race"
    SWEEP = "sweep"
    RETURN = "return"
    VERIFY = "verify"
    WITHDRAW = "withdraw"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim in progress.

    `visits`: the visits under way, each to a different disk; the race has one at a time. `won` and `lost`: arbitration
    disks. `missed`: disks that answered and were not won. RETURN visits them once more; it never visits a silent disk,
    which would only cost another time-out. `returnable`: disks that the claim may leave again, because no controller
    loses a disk by it: they had no holder, or another key holds them. *A disk taken from a holder is never left without
    a holder.* `views`: the last look; None for a disk that has not answered it yet.
    """

    orders: Orders
    key: Key
    part: Part
    visits: tuple[Visit, ...]
    won: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
    missed: tuple[int, ...] = ()
    returnable: tuple[int, ...] = ()
    views: tuple[DiskView | None, ...] = ()

    @property
    def decided(self) -> bool:
        """The majority of the arbitration disks is won."""
        return len(self.won) >= self.orders.majority

    @property
    def result(self) -> tuple[DiskView, ...]:
        """The last look of a finished claim. All disks are UNANSWERED if it withdrew before the last look."""
        assert self.part is Part.DONE
        return tuple(view or UNANSWERED for view in self.views) or (UNANSWERED,) * len(self.orders.disks)


def begin(orders: Orders, key: Key) -> Claim:
    """Return a claim that has sent no command yet."""
    return Claim(orders, key, Part.RACE, (Visit(orders.arbitration[0]),))


def commands(claim: Claim) -> tuple[Command, ...]:
    """Return the next commands, one a disk. The caller may send them in any order or all at once.

    The answer of one disk never changes the command to another. Empty when the claim is finished and `claim.result` is
    available.
    """
    match claim.part:
        case Part.RACE | Part.SWEEP | Part.RETURN:
            return tuple(_command(claim.key, visit) for visit in claim.visits)
        case Part.VERIFY:
            return tuple(Command(Verb.LOOK, at, claim.key) for at, view in enumerate(claim.views) if view is None)
        case Part.WITHDRAW:
            return tuple(Command(Verb.UNREGISTER, at, claim.key) for at in claim.returnable)
        case Part.DONE:
            return ()


def _command(key: Key, visit: Visit) -> Command:
    match visit.stage:
        case ClaimStage.LOOK | ClaimStage.CONFIRM:
            return Command(Verb.LOOK, visit.disk, key)
        case ClaimStage.REGISTER:
            return Command(Verb.REGISTER, visit.disk, key)
        case ClaimStage.SEIZE:
            if visit.view.holder is None:
                return Command(Verb.RESERVE, visit.disk, key)
            return Command(Verb.PREEMPT, visit.disk, key, visit.view.holder)
        case ClaimStage.EVICT:
            return Command(Verb.PREEMPT, visit.disk, key, other_keys(key, visit.view)[0])


def other_keys(key: Key, view: DiskView) -> tuple[Key, ...]:
    """Return the other registered keys, besides ours and the holder's. Their machines could write to the disk."""
    others = view.registered - {key, view.holder}
    return tuple(sorted(others, key=lambda other: (other.side or "", other.epoch)))


def advance(claim: Claim, disk: int, reply: Reply) -> Claim:
    """Return the claim after a disk has answered its command from `commands(claim)`."""
    reply = replace(reply, view=for_pair(reply.view, claim.orders.pair))
    match claim.part:
        case Part.RACE | Part.SWEEP | Part.RETURN:
            (visit,) = (one for one in claim.visits if one.disk == disk)
            return _visited(claim, visit, reply)
        case Part.VERIFY:
            return _verified(claim, disk, reply)
        case Part.WITHDRAW:
            return _withdraw(replace(claim, returnable=tuple(at for at in claim.returnable if at != disk)))
        case Part.DONE:
            raise AssertionError("a claim at its end has nothing to ask")


def _visited(claim: Claim, visit: Visit, reply: Reply) -> Claim:
    match visit.stage:
        case ClaimStage.LOOK:
            return _looked(claim, visit, reply)
        case ClaimStage.REGISTER:
            return _registered(claim, visit, reply)
        case ClaimStage.CONFIRM:
            return _confirmed(claim, visit, reply)
        case ClaimStage.SEIZE:
            return _seized(claim, visit, reply)
        case ClaimStage.EVICT:
            return _evicted(claim, visit, reply)


def _looked(claim: Claim, visit: Visit, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD or _overtaken(claim, reply.view):
        return _lost(claim, visit, reply)
    return _goes_on(claim, replace(visit, view=reply.view, stage=ClaimStage.REGISTER))


def _overtaken(claim: Claim, view: DiskView) -> bool:
    """Whether another claim is newer. Until we have the majority, an equal rank is a rival that came first.

    The rival may be of our own side: another machine that takes itself for this controller. With a surplus it has
    registered exactly our key.
    """
    rivals = [key for key in (view.holder, *view.registered) if key is not None and key != claim.key]
    newest, mine = max((rank(key.epoch) for key in rivals if key.side is not None), default=0), rank(claim.key.epoch)
    # Once we have the majority, an equal rank is the loser of the race.
    return view.surplus > 0 or newest > mine or (newest == mine and not claim.decided)


def _registered(claim: Claim, visit: Visit, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD:
        return _lost(claim, visit, reply)
    if any(key is not None and key.side is claim.key.side for key in (visit.view.holder, *visit.view.registered)):
        # REGISTER renames our registration, and with it a reservation. But it makes a new registration where a rival
        # has preempted us since the look, or where the old key belongs to another session. Only a second look can tell
        # which, and its view replaces the first.
        return _goes_on(claim, replace(visit, stage=ClaimStage.CONFIRM))
    return _take(claim, visit)


def _confirmed(claim: Claim, visit: Visit, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD:
        return _lost(claim, visit, reply)
    if _overtaken(claim, reply.view):
        return _lost(claim if reply.view.holder == claim.key else _leaving(claim, visit), visit, reply)
    return _take(claim, replace(visit, view=reply.view))


def _take(claim: Claim, visit: Visit) -> Claim:
    """We are registered: seize the disk, unless we hold it already."""
    if visit.view.holder == claim.key:
        return _evict(claim, visit)
    free = visit.view.holder is None
    return _goes_on(_leaving(claim, visit) if free else claim, replace(visit, stage=ClaimStage.SEIZE))


def _seized(claim: Claim, visit: Visit, reply: Reply) -> Claim:
    if reply.answer is Answer.GOOD:
        registered = visit.view.registered - {visit.view.holder} | {claim.key}
        return _evict(claim, replace(visit, view=replace(visit.view, holder=claim.key, registered=registered)))
    # Registered, but overtaken: leave the registration, so that the new holder's fence can hold. A disk may have
    # executed a command that it did not answer. To leave it then could leave the disk without a holder.
    return _lost(_leaving(claim, visit) if reply.answer is Answer.CONFLICT else claim, visit, reply)


def _leaving(claim: Claim, visit: Visit) -> Claim:
    """Note that the claim may leave the visited disk again."""
    known = visit.disk in claim.returnable
    return claim if known else replace(claim, returnable=tuple(sorted((*claim.returnable, visit.disk))))


def _evict(claim: Claim, visit: Visit) -> Claim:
    if other_keys(claim.key, visit.view):
        return _goes_on(claim, replace(visit, stage=ClaimStage.EVICT))
    return _end(claim, visit, won=True)


def _evicted(claim: Claim, visit: Visit, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD:
        return _lost(claim, visit, reply)
    gone = other_keys(claim.key, visit.view)[0]
    return _evict(claim, replace(visit, view=replace(visit.view, registered=visit.view.registered - {gone})))


def _lost(claim: Claim, visit: Visit, reply: Reply) -> Claim:
    """End the visit without winning the disk. A rival that was faster may have withdrawn by the second visit."""
    answered = reply.answer is not Answer.SILENT
    missed = tuple(sorted((*claim.missed, visit.disk))) if answered else claim.missed
    return _end(replace(claim, missed=missed), visit, won=False)


def _goes_on(claim: Claim, visit: Visit) -> Claim:
    return replace(claim, visits=tuple(visit if one.disk == visit.disk else one for one in claim.visits))


def _end(claim: Claim, visit: Visit, *, won: bool) -> Claim:
    """End a visit. After the last one, go on with the next part of the claim."""
    claim = replace(claim, visits=tuple(one for one in claim.visits if one.disk != visit.disk))
    if visit.disk in claim.orders.arbitration:
        claim = (
            replace(claim, won=claim.won | {visit.disk}, lost=claim.lost - {visit.disk})
            if won
            else replace(claim, lost=claim.lost | {visit.disk})
        )
    return claim if claim.visits else _next(claim)


def _next(claim: Claim) -> Claim:
    """Continue the race; withdraw if the majority is out of reach; otherwise sweep, return and verify."""
    votes = claim.orders.arbitration
    if len(claim.lost) > len(votes) - claim.orders.majority:
        return _withdraw(claim)
    raced = len(claim.won) + len(claim.lost)
    if claim.part is Part.RACE and not claim.decided and raced < len(votes):
        return replace(claim, visits=(Visit(votes[raced]),))
    if claim.part is Part.RACE:
        known = claim.won | claim.lost
        claim = replace(
            claim, part=Part.SWEEP, visits=tuple(Visit(at) for at in range(len(claim.orders.disks)) if at not in known)
        )
        if claim.visits:
            return claim
    if claim.part is Part.SWEEP and claim.missed:
        return replace(claim, part=Part.RETURN, visits=tuple(Visit(at) for at in claim.missed), missed=())
    return replace(claim, part=Part.VERIFY, views=(None,) * len(claim.orders.disks))


def _verified(claim: Claim, disk: int, reply: Reply) -> Claim:
    view = reply.view if reply.answer is Answer.GOOD else UNANSWERED
    views = (*claim.views[:disk], view, *claim.views[disk + 1 :])
    claim = replace(claim, views=views)
    if None in views:
        return claim
    ended = replace(claim, part=Part.DONE)
    if judge(claim.orders, claim.key.epoch, ended.result).hold is Hold.OURS:
        return ended
    # Overtaken: on a disk that another key holds, our registration could still write. Only our own command can make us
    # the holder, so a disk that another key held a moment ago keeps its holder when we leave.
    held = [at for at, seen in enumerate(ended.result) if seen.holder not in (None, claim.key)]
    return _withdraw(replace(claim, returnable=tuple(at for at in held if claim.key in ended.result[at].registered)))


def _withdraw(claim: Claim) -> Claim:
    if claim.returnable:
        return replace(claim, part=Part.WITHDRAW, visits=())
    return replace(claim, part=Part.DONE)
