"""The claim: which reservation commands fence the peer, one after the other, as a pure program.

The arbitration disks come first, in their fixed order; whoever gets the majority goes on, the loser withdraws and
touches nothing else. Every PREEMPT AND ABORT names the exact key that was read, so it is a compare-and-swap. Disks that
answered and were not won are visited once more, after the race is decided. The last look, over all disks, is what
`step` judges. Follows SPC-4 5.13.11; does not know how a command reaches a disk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.core.failover.hold import UNANSWERED, DiskView, Hold, judge
from reconciler.core.failover.key import Key
from reconciler.core.failover.orders import Orders


class Verb(StrEnum):
    """What is asked of a disk.

    LOOK: READ KEYS and READ RESERVATION. REGISTER: REGISTER AND IGNORE EXISTING KEY with APTPL, on every path. RESERVE:
    type 5. PREEMPT: PREEMPT AND ABORT, type 5. UNREGISTER: REGISTER with service action key 0.
    """

    LOOK = "look"
    REGISTER = "register"
    RESERVE = "reserve"
    PREEMPT = "preempt"
    UNREGISTER = "unregister"


class Answer(StrEnum):
    """How a disk answered. SILENT: refused, timed out or gone."""

    GOOD = "good"
    CONFLICT = "conflict"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Command:
    """One command to one disk (an index into the orders). `victim` belongs to PREEMPT."""

    verb: Verb
    disk: int
    key: Key
    victim: Key | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer, with what was read if the command was a LOOK."""

    answer: Answer
    view: DiskView = UNANSWERED


class Stage(StrEnum):
    """Where a claim is on its disk, or what it does after the last.

    CONFIRM: a second look, on disks where a key of our own stood before we registered.
    """

    LOOK = "look"
    REGISTER = "register"
    CONFIRM = "confirm"
    SEIZE = "seize"
    EVICT = "evict"
    VERIFY = "verify"
    WITHDRAW = "withdraw"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim in progress. `order` is the way through the disks, `at` the place on it.

    `won` and `lost` are arbitration disks. `missed` are disks that answered and were not won: the end of `order` leads
    there once more, but never to a disk that was silent, which would only cost its time-out again. `returnable` are
    disks where leaving again takes nothing from anybody: they had no holder, or somebody else holds them. A disk taken
    from a holder is never given back to nobody.
    """

    orders: Orders
    key: Key
    order: tuple[int, ...]
    at: int = 0
    stage: Stage = Stage.LOOK
    view: DiskView = UNANSWERED
    won: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
    missed: tuple[int, ...] = ()
    returnable: tuple[int, ...] = ()
    views: tuple[DiskView, ...] = ()

    @property
    def disk(self) -> int:
        """The disk it is at."""
        return self.order[self.at]

    @property
    def decided(self) -> bool:
        """The majority of the arbitration disks is won."""
        return len(self.won) >= self.orders.majority


def begin(orders: Orders, key: Key) -> Claim:
    """A claim that has not asked anything yet."""
    rest = tuple(index for index in range(len(orders.disks)) if index not in orders.arbitration)
    return Claim(orders, key, (*orders.arbitration, *rest))


def command(claim: Claim) -> Command | None:
    """What to ask next; None when the claim is at its end and `claim.views` is the result."""
    match claim.stage:
        case Stage.LOOK | Stage.CONFIRM:
            return Command(Verb.LOOK, claim.disk, claim.key)
        case Stage.REGISTER:
            return Command(Verb.REGISTER, claim.disk, claim.key)
        case Stage.SEIZE:
            if claim.view.holder is None:
                return Command(Verb.RESERVE, claim.disk, claim.key)
            return Command(Verb.PREEMPT, claim.disk, claim.key, claim.view.holder)
        case Stage.EVICT:
            return Command(Verb.PREEMPT, claim.disk, claim.key, strangers(claim)[0])
        case Stage.VERIFY:
            return Command(Verb.LOOK, len(claim.views), claim.key)
        case Stage.WITHDRAW:
            return Command(Verb.UNREGISTER, claim.returnable[0], claim.key)
        case Stage.DONE:
            return None


def strangers(claim: Claim) -> tuple[Key, ...]:
    """Keys on the disk, besides ours and the holder's, that could write."""
    others = claim.view.registered - {claim.key, claim.view.holder}
    return tuple(sorted(others, key=lambda key: (key.side or "", key.epoch)))


def advance(claim: Claim, reply: Reply) -> Claim:
    """The claim after the answer to `command(claim)`."""
    match claim.stage:
        case Stage.LOOK:
            return _looked(claim, reply)
        case Stage.REGISTER:
            return _registered(claim, reply)
        case Stage.CONFIRM:
            return _confirmed(claim, reply)
        case Stage.SEIZE:
            return _seized(claim, reply)
        case Stage.EVICT:
            return _evicted(claim, reply)
        case Stage.VERIFY:
            return _verified(claim, reply)
        case Stage.WITHDRAW:
            return _withdraw(replace(claim, returnable=claim.returnable[1:]))
        case Stage.DONE:
            raise AssertionError("a claim at its end has nothing to ask")


def _looked(claim: Claim, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD or _overtaken(claim, reply.view):
        return _lost(claim, reply)
    return replace(claim, view=reply.view, stage=Stage.REGISTER)


def _overtaken(claim: Claim, view: DiskView) -> bool:
    """The peer's claim is the newer one: until the majority is ours an equal epoch is a rival that came first."""
    keys = [key for key in (view.holder, *view.registered) if key is not None and key.side is not claim.key.side]
    newest = max((key.epoch for key in keys if key.side is not None), default=0)
    # Afterwards an equal epoch is the loser of the race.
    return newest > claim.key.epoch or (newest == claim.key.epoch and not claim.decided)


def _registered(claim: Claim, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD:
        return _lost(claim, reply)
    if any(key is not None and key.side is claim.key.side for key in (claim.view.holder, *claim.view.registered)):
        # REGISTER renames our registration and with it a reservation, but makes a new one where we have been preempted
        # since the look, or where the old key is another session's. Only a look tells which: it takes the first one's
        # place.
        return replace(claim, stage=Stage.CONFIRM)
    return _take(claim)


def _confirmed(claim: Claim, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD:
        return _lost(claim, reply)
    if _overtaken(claim, reply.view):
        return _lost(claim if reply.view.holder == claim.key else _leaving(claim), reply)
    return _take(replace(claim, view=reply.view))


def _take(claim: Claim) -> Claim:
    """Registered: seize the disk, unless it is ours already."""
    if claim.view.holder == claim.key:
        return _evict(claim)
    return replace(_leaving(claim) if claim.view.holder is None else claim, stage=Stage.SEIZE)


def _seized(claim: Claim, reply: Reply) -> Claim:
    if reply.answer is Answer.GOOD:
        registered = claim.view.registered - {claim.view.holder} | {claim.key}
        return _evict(replace(claim, view=replace(claim.view, holder=claim.key, registered=registered)))
    # Registered, but overtaken: leave the registration, so that the new holder's fence can hold. What was not answered
    # may have been done all the same: to leave then could leave the disk to nobody.
    return _lost(_leaving(claim) if reply.answer is Answer.CONFLICT else claim, reply)


def _leaving(claim: Claim) -> Claim:
    """The disk it is at may be left again."""
    return claim if claim.disk in claim.returnable else replace(claim, returnable=(*claim.returnable, claim.disk))


def _evict(claim: Claim) -> Claim:
    return replace(claim, stage=Stage.EVICT) if strangers(claim) else _next(claim, won=True)


def _evicted(claim: Claim, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD:
        return _lost(claim, reply)
    gone = strangers(claim)[0]
    return _evict(replace(claim, view=replace(claim.view, registered=claim.view.registered - {gone})))


def _lost(claim: Claim, reply: Reply) -> Claim:
    """On to the next disk without this one; where a rival was faster, it may have withdrawn by the second visit."""
    answered = reply.answer is not Answer.SILENT
    return _next(replace(claim, missed=(*claim.missed, claim.disk)) if answered else claim, won=False)


def _next(claim: Claim, *, won: bool) -> Claim:
    """On to the next disk; or withdraw, when the majority is out of reach; or verify, after the last."""
    if claim.disk in claim.orders.arbitration:
        claim = (
            replace(claim, won=claim.won | {claim.disk}, lost=claim.lost - {claim.disk})
            if won
            else replace(claim, lost=claim.lost | {claim.disk})
        )
    if len(claim.lost) > len(claim.orders.arbitration) - claim.orders.majority:
        return _withdraw(claim)
    if claim.at + 1 == len(claim.orders.disks):
        claim = replace(claim, order=claim.order + claim.missed)
    if claim.at + 1 == len(claim.order):
        return replace(claim, stage=Stage.VERIFY)
    return replace(claim, at=claim.at + 1, stage=Stage.LOOK, view=UNANSWERED)


def _verified(claim: Claim, reply: Reply) -> Claim:
    views = (*claim.views, reply.view if reply.answer is Answer.GOOD else UNANSWERED)
    claim = replace(claim, views=views)
    if len(views) < len(claim.orders.disks):
        return claim
    if judge(claim.orders, claim.key.epoch, views).hold is Hold.OURS:
        return replace(claim, stage=Stage.DONE)
    # Overtaken: where somebody else holds a disk, our registration could still write. Nobody but ourselves can make us
    # the holder, so what another held a moment ago is not given to nobody by leaving it.
    held = (at for at, view in enumerate(views) if view.holder not in (None, claim.key))
    return _withdraw(replace(claim, returnable=tuple(at for at in held if claim.key in views[at].registered)))


def _withdraw(claim: Claim) -> Claim:
    if claim.returnable:
        return replace(claim, stage=Stage.WITHDRAW)
    return replace(claim, stage=Stage.DONE, views=claim.views or (UNANSWERED,) * len(claim.orders.disks))
