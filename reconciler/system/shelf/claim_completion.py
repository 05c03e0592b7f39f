"""An active controller completes its claim on disks that are there: the commands of
`core/failover/reservations/fence_completion`.

Does not decide which, nor when it is asked (the `dispatcher` of the watchdog does).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from reconciler.core.failover.ports import Performing, answered
from reconciler.core.failover.reservations.claim import Answer
from reconciler.core.failover.reservations.fence_completion import (
    Completion,
    CompletionStage,
    Keep,
    after_keep,
    after_reply,
    next_request,
)
from reconciler.core.failover.reservations.key import Key

#: How often a disk that is silent is asked again.
AGAIN_S: Final = 0.1


class CompletableShelf(Performing, Protocol):
    """What is needed of a shelf. See `DiskShelf`."""

    def keep(self, disk: int, deadline_s: float, paths: Key | None = None) -> bool:
        """Open the disk exclusively until `release`; False: our own pools have it open, or that is unknown.

        `paths`: only the paths that are not registered with this key.
        """
        ...

    def release(self, disk: int) -> None:
        """Keep it no longer; nothing when it was not kept."""
        ...


def complete(shelf: CompletableShelf, disk: int, mine: Key, command_s: float, patience_s: float) -> bool:
    """Take one disk, if that may be done now; whether it is ours alone at the end. See `run`."""
    completion = run(shelf, disk, mine, command_s, patience_s)
    return completion is not None and completion.ours


def run(shelf: CompletableShelf, disk: int, mine: Key, command_s: float, patience_s: float) -> Completion | None:
    """A completion to its end, None if that did not come.

    Each command may take `command_s`. After `patience_s` nothing more is asked: see `patience_ms`.
    """
    completion, end_s = Completion(disk, mine), time.monotonic() + patience_s
    try:
        while (question := next_request(completion)) is not None:
            if time.monotonic() >= end_s:
                return None
            if isinstance(question, Keep):
                completion = after_keep(completion, alone=shelf.keep(disk, command_s, question.paths))
                continue
            reply = answered(shelf, question, command_s)
            completion = after_reply(completion, reply)
            if reply.answer is Answer.SILENT and completion.stage is not CompletionStage.DONE:
                time.sleep(AGAIN_S)
    finally:
        shelf.release(disk)
    return completion


def complete_each(
    shelf: CompletableShelf, disks: Sequence[int], mine: Key, command_s: float, patience_s: float, within_s: float
) -> Iterator[tuple[int, bool]]:
    """Each disk after the other, and whether it is ours alone by all paths, until `within_s` has passed.

    None is begun that would be cut off before it may be given up.
    """
    end_s = time.monotonic() + within_s
    for disk in disks:
        if end_s - time.monotonic() < patience_s:
            return
        completion = run(shelf, disk, mine, command_s, patience_s)
        yield disk, completion is not None and completion.whole
