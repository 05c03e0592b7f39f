"""An active controller completes its claim: what it asks of one more disk while its pools are imported, a pure program.

A disk that newer orders name, and one that comes back after a takeover, is taken as the claim would have taken it,
before ZFS writes to it. The invariant: *a completion gives no pool a way to write that it did not have*. A registration
lets a controller write whoever holds the disk by then, and a controller that slept between its look and its
registration may have been replaced. Three rules keep that as safe as a claim, which runs where no pool is imported:

- what others have registered with older keys on a disk of ours is removed; that needs no registration;
- a disk that nobody holds, or an older key does, is registered only while it is kept: opened for us alone, from before
  the registration to the end, so that no pool of this controller has it or can open it meanwhile;
- newer keys and foreign ones are left alone, and whoever finds that another was faster gives the registration up before
  it keeps the disk no longer, however long the disk is silent. No disk is ever left to nobody;
- a path of ours that came back to a disk of ours is registered only while that path is kept: opened for us alone, so
  that no pool writes over it. The look after the registration must see our reservation, or the registration is given up
  before the path is kept no longer.

Does not know how a command reaches a disk, nor how a disk or a path is kept.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.core.failover.machine.owner import GONE
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.orders import Timers
from reconciler.core.failover.reservations.claim import Answer, Command, Reply, Verb
from reconciler.core.failover.reservations.key import Key, encode_key, is_over
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView, Hold, fenced


def patience_ms(timers: Timers, command_ms: int) -> int:
    """How long a completion of one disk must be able to go on, when a command takes `command_ms` at the longest.

    It may be given up before its end only when a controller that was replaced would be dead: after the longest time
    without proof, and its deadman. Two commands may lie around that.
    """
    return timers.proof_ms + timers.deadman_ms + 2 * command_ms


class CompletionStage(StrEnum):
    """Where a completion is: what is asked next. CONFIRM, SETTLE, LEFT, EVICTED and EXTENDED are looks."""

    LOOK = "look"
    KEEP = "keep"
    REGISTER = "register"
    CONFIRM = "confirm"
    SEIZE = "seize"
    SETTLE = "settle"
    LEAVE = "leave"
    LEFT = "left"
    EVICT = "evict"
    EVICTED = "evicted"
    KEEP_PATHS = "keep_paths"
    EXTEND = "extend"
    EXTENDED = "extended"
    DONE = "done"


#: Looks after a registration.
REGISTERED = (CompletionStage.CONFIRM, CompletionStage.SETTLE, CompletionStage.LEFT, CompletionStage.EXTENDED)


@dataclass(frozen=True, slots=True)
class Keep:
    """Open the disk for ourselves alone, until the completion is at its end; refused while a pool here has it.

    `paths`: not the disk, but those of its running paths that are not registered with this key; refused when nothing
    here lets go of any of them.
    """

    disk: int
    paths: Key | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion of one disk in progress.

    `view`: how the disk looked last. `over`: whose registrations are still to be removed. `kept`: the disk, or the
    paths that are registered, are opened for us alone.
    """

    disk: int
    key: Key
    stage: CompletionStage = CompletionStage.LOOK
    view: DiskView = UNANSWERED
    over: tuple[Key, ...] = ()
    kept: bool = False

    @property
    def ours(self) -> bool:
        """At the end: the last look saw the disk under our reservation alone."""
        assert self.stage is CompletionStage.DONE
        return fenced(self.view, self.key)

    @property
    def whole(self) -> bool:
        """At the end: ours, and every path of ours that runs is registered."""
        return self.ours and not self.view.unregistered


def asks(completion: Completion) -> Command | Keep | None:
    """What to ask now; None at the end."""
    disk, key = completion.disk, completion.key
    match completion.stage:
        case (
            CompletionStage.LOOK
            | CompletionStage.CONFIRM
            | CompletionStage.SETTLE
            | CompletionStage.LEFT
            | CompletionStage.EVICTED
            | CompletionStage.EXTENDED
        ):
            return Command(Verb.LOOK, disk, key)
        case CompletionStage.KEEP:
            return Keep(disk)
        case CompletionStage.KEEP_PATHS:
            return Keep(disk, key)
        case CompletionStage.EXTEND:
            assert completion.kept, "a registration of a path that a pool of ours could use"
            assert not completion.view.surplus, "a registration beside another machine with our key"
            return Command(Verb.EXTEND, disk, key)
        case CompletionStage.REGISTER:
            assert completion.kept, "a registration on a disk that a pool of ours could open"
            assert not completion.view.surplus, "a registration beside another machine with our key"
            return Command(Verb.REGISTER, disk, key)
        case CompletionStage.SEIZE:
            holder = completion.view.holder
            return Command(Verb.RESERVE if holder is None else Verb.PREEMPT, disk, key, holder)
        case CompletionStage.LEAVE:
            assert completion.view.holder != key, "a disk would be left to nobody"
            return Command(Verb.UNREGISTER, disk, key)
        case CompletionStage.EVICT:
            return Command(Verb.PREEMPT, disk, key, completion.over[0])
        case CompletionStage.DONE:
            return None


def kept(completion: Completion, *, alone: bool) -> Completion:
    """The completion after `Keep` was answered; `alone`: what was to be kept is ours alone here until the end."""
    assert completion.stage in (CompletionStage.KEEP, CompletionStage.KEEP_PATHS)
    following = CompletionStage.REGISTER if completion.stage is CompletionStage.KEEP else CompletionStage.EXTEND
    return replace(completion, kept=alone, stage=following if alone else CompletionStage.DONE)


def heard(completion: Completion, reply: Reply) -> Completion:
    """The completion after the disk's answer to its command."""
    good = reply.answer is Answer.GOOD
    match completion.stage:
        # What was not answered may have been done: the look tells.
        case CompletionStage.REGISTER:
            return replace(completion, stage=CompletionStage.CONFIRM)
        case CompletionStage.SEIZE:
            return replace(completion, stage=CompletionStage.SETTLE)
        case CompletionStage.LEAVE:
            return replace(completion, stage=CompletionStage.LEFT)
        case CompletionStage.EVICT:
            return replace(completion, stage=CompletionStage.EVICTED if good else CompletionStage.DONE)
        case CompletionStage.EXTEND:
            return replace(completion, stage=CompletionStage.EXTENDED)
        case CompletionStage.KEEP | CompletionStage.KEEP_PATHS | CompletionStage.DONE:
            raise AssertionError("no command was asked")
        case _:
            return _looked(replace(completion, view=reply.view if good else UNANSWERED))


def _looked(completion: Completion) -> Completion:
    stage, view, key = completion.stage, completion.view, completion.key
    if not view.answered:
        # Nobody keeps a disk no longer where it may be registered and not the holder: it looks again.
        return replace(completion, stage=stage if stage in REGISTERED else CompletionStage.DONE)
    if stage is CompletionStage.EVICTED:
        return _evict(completion, completion.over[1:])
    if view.holder == key and stage is CompletionStage.EXTENDED:
        return replace(completion, stage=CompletionStage.DONE)
    if view.holder == key:
        return _evict(completion, _over(view, key))
    takeable, registered = _takeable(view, key), key in view.registered
    if stage is CompletionStage.LOOK and takeable:
        # Where we are registered, nothing is gained by registering.
        return replace(completion, stage=CompletionStage.SEIZE if registered else CompletionStage.KEEP)
    if stage in (CompletionStage.CONFIRM, CompletionStage.EXTENDED) and takeable and registered:
        return replace(completion, stage=CompletionStage.SEIZE)
    if stage in REGISTERED and registered and (view.holder is not None or not takeable):
        # Another was faster: it must not find us registered.
        return replace(completion, stage=CompletionStage.LEAVE)
    return replace(completion, stage=CompletionStage.DONE)


def _evict(completion: Completion, over: tuple[Key, ...]) -> Completion:
    view = completion.view
    # With a surplus another machine has our key, and the reservation may be that machine's.
    if over or completion.kept or view.holder != completion.key or view.surplus or not view.unregistered:
        return replace(completion, over=over, stage=CompletionStage.EVICT if over else CompletionStage.DONE)
    return replace(completion, over=(), stage=CompletionStage.KEEP_PATHS)


def completing(state: State) -> Key | None:
    """The key of the claim that this controller may complete now: its last look proves that it owns the shelf.

    While it is active; or before the import, when that cannot begin because a disk that was waited out is back, and so
    is excused no more, or because the pools have disks already that only pending orders name.
    """
    looks = state.looks
    stuck = not looks.covered or state.pending is not None
    waits = state.phase is Phase.IMPORTING and stuck and looks.pools in GONE
    if (state.phase is not Phase.ACTIVE and not waits) or looks.hold is not Hold.OURS or looks.woke:
        return None
    return Key(state.orders.side, state.epoch)


def unfenced(views: Collection[DiskView], mine: Key) -> tuple[int, ...]:
    """Disks that answered and are not under our reservation alone."""
    return tuple(at for at, view in enumerate(views) if view.answered and not fenced(view, mine))


def unregistered(views: Collection[DiskView], mine: Key) -> tuple[int, ...]:
    """Disks of ours with a path that runs and is not registered."""
    return tuple(at for at, view in enumerate(views) if view.holder == mine and view.unregistered)


def completable(views: Collection[DiskView], mine: Key) -> tuple[int, ...]:
    """Those of them about which something may be done."""
    found = []
    for at, view in enumerate(views):
        ours = view.holder == mine
        if view.answered and (_over(view, mine) or view.unregistered if ours else _takeable(view, mine)):
            found.append(at)
    return tuple(found)


def _takeable(view: DiskView, mine: Key) -> bool:
    """Nobody is there, or only what is over; and no other machine with our key."""
    others = {key for key in (view.holder, *view.registered) if key is not None and key != mine}
    return not view.surplus and all(is_over(key, mine) for key in others)


def _over(view: DiskView, mine: Key) -> tuple[Key, ...]:
    """Others that are registered with keys that are over."""
    return tuple(sorted((key for key in view.registered - {mine} if is_over(key, mine)), key=encode_key))
