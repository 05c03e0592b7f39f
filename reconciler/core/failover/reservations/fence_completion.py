"""Completion: how an active controller takes one more disk while its pools are imported, as a pure program.

Newer orders may name a disk that the claim did not take, and a disk may come back after a takeover. A completion takes
such a disk as the claim would have taken it, before ZFS writes to it. The invariant: *a completion gives no pool a way
to write that it did not have*. A registered controller can write whichever controller holds the disk, and a controller
that slept between its look and its registration may have been replaced. A claim is safe from this because it runs while
no pool is imported. These rules make a completion as safe:

- It removes the older keys of others from a disk that we hold. That needs no new registration.
- It registers on a disk without a holder, or with an older key as holder, only while it keeps the disk: this controller
  has opened the disk exclusively, from before the registration to the end. So no pool of this controller has the disk
  or can open it meanwhile.
- It leaves newer keys and foreign keys alone. If another controller was faster, it gives its registration up before it
  closes the disk, however long the disk is silent. *No disk is ever left without a holder.*
- It registers a path that came back to a disk of ours only while it keeps that path: opened exclusively, so that no
  pool writes over it. The look after the registration must see our reservation. Otherwise the completion gives the
  registration up before it closes the path.

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
    """Return how long, in ms, a completion of one disk must be able to run. A command takes at most `command_ms`.

    A completion may be aborted only when a replaced controller would be dead: after the longest time without proof,
    plus its deadman. One command may run before that time, and one after it.
    """
    return timers.proof_ms + timers.deadman_ms + 2 * command_ms


class CompletionStage(StrEnum):
    """Stage of a completion: its next command. CONFIRM, SETTLE, LEFT, EVICTED and EXTENDED are looks."""

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
    """Open the disk exclusively until the completion ends. The open fails while a pool of this controller has the disk.

    `paths`: open instead those running paths of the disk that are not registered with this key. The open fails if this
    controller cannot free any of them.
    """

    disk: int
    paths: Key | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion of one disk in progress.

    `view`: the last look at the disk. `over`: keys whose registrations it still has to remove. `kept`: this controller
    has opened the disk, or the paths that it registers, exclusively.
    """

    disk: int
    key: Key
    stage: CompletionStage = CompletionStage.LOOK
    view: DiskView = UNANSWERED
    over: tuple[Key, ...] = ()
    kept: bool = False

    @property
    def ours(self) -> bool:
        """At the end: the last look saw our reservation and no other registration."""
        assert self.stage is CompletionStage.DONE
        return fenced(self.view, self.key)

    @property
    def whole(self) -> bool:
        """At the end: we hold the disk, and every running path of ours is registered."""
        return self.ours and not self.view.unregistered


def next_request(completion: Completion) -> Command | Keep | None:
    """Return the next command, or the `Keep` to carry out; None at the end."""
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
            assert completion.view.holder != key, "a disk would be left without a holder"
            return Command(Verb.UNREGISTER, disk, key)
        case CompletionStage.EVICT:
            return Command(Verb.PREEMPT, disk, key, completion.over[0])
        case CompletionStage.DONE:
            return None


def after_keep(completion: Completion, *, alone: bool) -> Completion:
    """Return the completion after a `Keep`. `alone`: the exclusive open succeeded and lasts until the end."""
    assert completion.stage in (CompletionStage.KEEP, CompletionStage.KEEP_PATHS)
    following = CompletionStage.REGISTER if completion.stage is CompletionStage.KEEP else CompletionStage.EXTEND
    return replace(completion, kept=alone, stage=following if alone else CompletionStage.DONE)


def after_reply(completion: Completion, reply: Reply) -> Completion:
    """Return the completion after the disk has answered its command."""
    good = reply.answer is Answer.GOOD
    match completion.stage:
        # A disk may have executed a command that it did not answer: the next look tells.
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
        # We may be registered here without being the holder. Keep the disk and look again.
        return replace(completion, stage=stage if stage in REGISTERED else CompletionStage.DONE)
    if stage is CompletionStage.EVICTED:
        return _evict(completion, completion.over[1:])
    if view.holder == key and stage is CompletionStage.EXTENDED:
        return replace(completion, stage=CompletionStage.DONE)
    if view.holder == key:
        return _evict(completion, _over(view, key))
    takeable, registered = _takeable(view, key), key in view.registered
    if stage is CompletionStage.LOOK and takeable:
        # Where we are already registered, a new registration would add nothing.
        return replace(completion, stage=CompletionStage.SEIZE if registered else CompletionStage.KEEP)
    if stage in (CompletionStage.CONFIRM, CompletionStage.EXTENDED) and takeable and registered:
        return replace(completion, stage=CompletionStage.SEIZE)
    if stage in REGISTERED and registered and (view.holder is not None or not takeable):
        # Another controller was faster. Its fence holds only once we are not registered.
        return replace(completion, stage=CompletionStage.LEAVE)
    return replace(completion, stage=CompletionStage.DONE)


def _evict(completion: Completion, over: tuple[Key, ...]) -> Completion:
    view = completion.view
    # With a surplus another machine has our key, and the reservation may belong to that machine.
    if over or completion.kept or view.holder != completion.key or view.surplus or not view.unregistered:
        return replace(completion, over=over, stage=CompletionStage.EVICT if over else CompletionStage.DONE)
    return replace(completion, over=(), stage=CompletionStage.KEEP_PATHS)


def completing(state: State) -> Key | None:
    """Return the key of the claim that this controller may complete now; None if its last look does not prove it owner.

    It may do so while it is active. It may also do so before the import, if the import cannot begin for one of two
    reasons: a silent disk, which was excused once the peer's deadman had run out, is back and is no longer excused; or
    the pools already have disks that only pending orders name.
    """
    looks = state.looks
    stuck = not looks.covered or state.pending is not None
    waits = state.phase is Phase.IMPORTING and stuck and looks.pools in GONE
    if (state.phase is not Phase.ACTIVE and not waits) or looks.hold is not Hold.OURS or looks.woke:
        return None
    return Key(state.orders.side, state.epoch)


def unfenced(views: Collection[DiskView], mine: Key) -> tuple[int, ...]:
    """Return the disks that answered and are not under our reservation alone."""
    return tuple(at for at, view in enumerate(views) if view.answered and not fenced(view, mine))


def unregistered(views: Collection[DiskView], mine: Key) -> tuple[int, ...]:
    """Return the disks that we hold and that have a running path without a registration."""
    return tuple(at for at, view in enumerate(views) if view.holder == mine and view.unregistered)


def completable(views: Collection[DiskView], mine: Key) -> tuple[int, ...]:
    """Return the disks that a completion may improve: take them, remove an older key, or register a path."""
    found = []
    for at, view in enumerate(views):
        ours = view.holder == mine
        if view.answered and (_over(view, mine) or view.unregistered if ours else _takeable(view, mine)):
            found.append(at)
    return tuple(found)


def _takeable(view: DiskView, mine: Key) -> bool:
    """Whether the disk has no keys but ours and those of claims that are over, and no other machine has our key."""
    others = {key for key in (view.holder, *view.registered) if key is not None and key != mine}
    return not view.surplus and all(is_over(key, mine) for key in others)


def _over(view: DiskView, mine: Key) -> tuple[Key, ...]:
    """Return the registered keys of other claims that are over."""
    return tuple(sorted((key for key in view.registered - {mine} if is_over(key, mine)), key=encode_key))
