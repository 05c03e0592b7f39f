"""The commands that a claim sends to one disk of the exhaustive world: a whole visit, or one command.

Does not know which controller moves.
"""

from __future__ import annotations

from reconciler.core.failover.reservations.claim import Answer, Claim, Command, Reply, advance, commands
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.disk import answer
from reconciler.simulation.exhaustive.canonical import Disks, plain_disk


def visited(
    claim: Claim, first: Command, side: Side, disks: Disks, *, lost: bool, fine: bool
) -> tuple[Claim, Disks, str]:
    """Send `first` and the commands that follow it on the same disk.

    Returns the claim, the disks and a description of the commands. `lost`: the disk is out of reach. `fine`: send
    `first` only.
    """
    order: Command | None = first
    part, at, names = claim.part, first.disk, []
    while order is not None and claim.part is part:
        reply = Reply(Answer.SILENT)
        if not lost:
            disk, reply = answer(disks[at], side, order)
            disks = (*disks[:at], plain_disk(disk), *disks[at + 1 :])
        claim = advance(claim, at, reply)
        names.append(f"{order.verb} disk{at}{f' of {order.victim}' if order.victim else ''}: {reply.answer}")
        order = None if fine else next((one for one in commands(claim) if one.disk == at), None)
    return claim, disks, ", ".join(names)
