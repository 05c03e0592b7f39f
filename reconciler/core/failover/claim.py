"""The claim: which reservation commands fence the peer, one after the other, as a pure program.

The arbitration disks come first, in their fixed order; whoever gets the majority goes on, the loser withdraws and
touches nothing else. Every PREEMPT AND ABORT names the exact key that was read, so it is a compare-and-swap. The last
look, over all disks, is what `step` judges. Follows SPC-4 5.13.11; does not know how a command reaches a disk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.core.failover.hold import UNANSWERED, DiskView
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
    """Where a claim is on its disk, or what it does after the last."""

    LOOK = "look"
    REGISTER = "register"
    SEIZE = "seize"
    EVICT = "evict"
    VERIFY = "verify"
    WITHDRAW = "withdraw"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim in progress. `order` is the way through the disks, `at` the place on it.

    `won` and `lost` are arbitration disks; `returnable` are disks where leaving again takes nothing from anybody: they
    had no holder. A disk taken from a holder is never given back to nobody.
    """

    orders: Orders
    key: Key
    order: tuple[int, ...]
    at: int = 0
    stage: Stage = Stage.LOOK
    view: DiskView = UNANSWERED
    won: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
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
        case Stage.LOOK:
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
        case Stage.SEIZE:
            return _seized(claim, reply)
        case Stage.EVICT:
            return _evicted(claim, reply)
        case Stage.VERIFY:
            view = reply.view if reply.answer is Answer.GOOD else UNANSWERED
            views = (*claim.views, view)
            return replace(claim, views=views, stage=Stage.DONE if len(views) == len(claim.order) else Stage.VERIFY)
        case Stage.WITHDRAW:
            return _withdraw(replace(claim, returnable=claim.returnable[1:]))
        case Stage.DONE:
            raise AssertionError("a claim at its end has nothing to ask")


def _looked(claim: Claim, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD:
        return _next(claim, won=False)
    view = reply.view
    keys = [key for key in (view.holder, *view.registered) if key is not None and key.side is not claim.key.side]
    newest = max((key.epoch for key in keys if key.side is not None), default=0)
    # Until the majority is ours an equal epoch is a rival that came first; afterwards it is the loser of the race.
    if newest > claim.key.epoch or (newest == claim.key.epoch and not claim.decided):
        return _next(claim, won=False)
    return replace(claim, view=view, stage=Stage.REGISTER)


def _registered(claim: Claim, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD:
        return _next(claim, won=False)
    holder = claim.view.holder
    if holder is None:
        return replace(claim, stage=Stage.SEIZE, returnable=(*claim.returnable, claim.disk))
    if holder.side is claim.key.side:
        # The reservation follows the registration of its holder: renaming our key renamed the reservation.
        return _evict(replace(claim, view=_after(claim)))
    return replace(claim, stage=Stage.SEIZE)


def _seized(claim: Claim, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD:
        # Registered, but overtaken: leave the registration, so that the new holder's fence can hold.
        left = claim.returnable if claim.disk in claim.returnable else (*claim.returnable, claim.disk)
        return _next(replace(claim, returnable=left), won=False)
    return _evict(replace(claim, view=_after(claim)))


def _after(claim: Claim) -> DiskView:
    """What the disk should look like now that we hold it: nobody of the old holder's key is left."""
    left = frozenset(
        key for key in claim.view.registered if key != claim.view.holder and key.side is not claim.key.side
    )
    return replace(claim.view, holder=claim.key, registered=left | {claim.key})


def _evict(claim: Claim) -> Claim:
    return replace(claim, stage=Stage.EVICT) if strangers(claim) else _next(claim, won=True)


def _evicted(claim: Claim, reply: Reply) -> Claim:
    if reply.answer is not Answer.GOOD:
        return _next(claim, won=False)
    gone = strangers(claim)[0]
    return _evict(replace(claim, view=replace(claim.view, registered=claim.view.registered - {gone})))


def _next(claim: Claim, *, won: bool) -> Claim:
    """On to the next disk; or withdraw, when the majority is out of reach; or verify, after the last."""
    if claim.disk in claim.orders.arbitration:
        claim = replace(claim, won=claim.won | {claim.disk}) if won else replace(claim, lost=claim.lost | {claim.disk})
    if len(claim.lost) > len(claim.orders.arbitration) - claim.orders.majority:
        return _withdraw(claim)
    if claim.at + 1 == len(claim.order):
        return replace(claim, stage=Stage.VERIFY)
    return replace(claim, at=claim.at + 1, stage=Stage.LOOK, view=UNANSWERED)


def _withdraw(claim: Claim) -> Claim:
    if claim.returnable:
        return replace(claim, stage=Stage.WITHDRAW)
    return replace(claim, stage=Stage.DONE, views=(UNANSWERED,) * len(claim.order))
