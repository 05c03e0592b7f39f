"""The child that completes a claim in the timed world: one disk after the other, one command after the other.

A disk executes a command even if the child no longer waits for it. Until then the child keeps the disk open, as a
process that waits in the kernel does. Does not know why the core completes a claim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.core.failover.reservations.claim import Answer, Command, Reply
from reconciler.core.failover.reservations.fence_completion import (
    Completion,
    CompletionStage,
    Keep,
    after_keep,
    after_reply,
    next_request,
)
from reconciler.core.failover.reservations.key import Key

if TYPE_CHECKING:
    from reconciler.simulation.timed.controller import Controller
    from reconciler.simulation.timed.world import World

#: Time until the next try after a disk did not become ours; time until a silent disk is asked again; time budget of the
#: whole completion. The watchdog's worker gives each disk more time: a shorter limit is harder on the core.
AGAIN_MS: Final = 1_000
SILENT_MS: Final = 100
COMPLETE_MS: Final = 10_000


class Completer:
    """`completion`: the running one. `again_ms`: moment of the local clock before which no other completion begins."""

    def __init__(self, world: World, owner: Controller) -> None:
        self._world, self._owner = world, owner
        self.completion: Completion | None = None
        self.again_ms = 0
        self._disks: tuple[int, ...] = ()
        self._in_flight = False
        self._number = self._begun_ms = 0

    def begin(self, key: Key, disks: tuple[int, ...]) -> None:
        """Complete the claim on these disks of the world unless a completion runs or failed within `AGAIN_MS`."""
        if not disks or self.completion is not None or self._in_flight or self._owner.clock() < self.again_ms:
            return
        self._number += 1
        self._disks, self._begun_ms = disks[1:], self._owner.clock()
        self._start(disks[0], key)

    def drop(self) -> None:
        """Stop completing. The shelf still executes a command that is under way."""
        if self.completion is not None and not self._in_flight:
            self._owner.kernel.release_disk(self.completion.disk)
        self.completion = None
        self._number += 1

    def _start(self, disk: int, key: Key) -> None:
        self.completion = Completion(disk, key)
        self._world.later(0, self._next, self._number, self._owner)

    def _next(self, number: int) -> None:
        """Send the next command, or go on to the next disk."""
        completion = self.completion
        if number != self._number or completion is None:
            return
        if self._owner.clock() - self._begun_ms >= COMPLETE_MS:
            self.again_ms = self._owner.clock() + AGAIN_MS
            self.drop()
            return
        question = next_request(completion)
        if isinstance(question, Keep):
            keep = self._owner.kernel.keep if question.paths is None else self._owner.kernel.keep_paths
            self.completion = after_keep(completion, alone=keep(question.disk))
            self._world.later(0, self._next, number, self._owner)
        elif isinstance(question, Command):
            self._in_flight = True
            delay_ms = self._world.draw(self._world.physics.command_ms)
            # The event has no owner: neither a freeze nor a reset of its controller stops a command that is under way.
            self._world.later(delay_ms, self._does, (number, question))
        else:
            self._ended(completion)

    def _does(self, sent: tuple[int, Command]) -> None:
        number, command = sent
        reply, took_ms = self._world.shelf.perform(self._owner.side, command)
        self._in_flight = False
        if number != self._number:
            self._owner.kernel.release_disk(command.disk)
            return
        self._world.later(took_ms, self._on, (number, reply), self._owner)

    def _on(self, answer: tuple[int, Reply]) -> None:
        number, reply = answer
        if number == self._number and self.completion is not None:
            if self.completion.stage is CompletionStage.LEAVE:
                name, holder = self._world.orders.disks[self.completion.disk], self.completion.view.holder
                self._world.note(self._owner.side, f"gives {name} up again, which {holder or 'nobody'} holds by now")
            self.completion = after_reply(self.completion, reply)
            silent = reply.answer is Answer.SILENT and self.completion.stage is not CompletionStage.DONE
            self._world.later(SILENT_MS if silent else 0, self._next, number, self._owner)

    def _ended(self, completion: Completion) -> None:
        owner, disk = self._owner, completion.disk
        self.completion = None
        if completion.kept:
            self._world.checkers.completed(owner.side, disk)
        if completion.ours and disk in owner.kernel.paths_kept:
            self._world.note(owner.side, f"registers a path that came back to {self._world.orders.disks[disk]}")
        elif completion.ours:
            self._world.note(owner.side, f"completes its claim on {self._world.orders.disks[disk]}")
        else:
            self.again_ms = owner.clock() + AGAIN_MS
        owner.kernel.release_disk(disk)
        if self._disks:
            following, self._disks = self._disks[0], self._disks[1:]
            self._start(following, completion.key)
