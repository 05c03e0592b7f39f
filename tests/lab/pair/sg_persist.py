"""The holders of the disks according to sg_persist(8), which asks the kernel independently of hagit.

Decides which of its reports are wrong. Does not know how a machine gets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.core.failover.reservations.key import Key, Side, decode_key

TYPE: Final = "Write Exclusive, registrants only"


@dataclass(frozen=True, slots=True)
class Reserved:
    """One disk: its registered keys, one for each path, and the reservation with its type."""

    disk: str
    registered: tuple[Key, ...]
    holder: Key | None
    kind: str


def asking(disks: Iterable[str]) -> str:
    """Return the shell command whose output `parse` reads."""
    return (
        f"for disk in {' '.join(disks)}; do echo disk $disk; "
        "for what in --read-keys --read-reservation; do sg_persist -n -i $what /dev/disk/by-id/$disk; done; done"
    )


def parse(text: str) -> tuple[Reserved, ...]:
    """Parse the output of the command."""
    found = []
    for part in re.split(r"^disk ", text, flags=re.MULTILINE)[1:]:
        name, _, told = part.partition("\n")
        keys = re.findall(r"^\s+0x([0-9a-f]+)$", told, re.MULTILINE)
        holder = re.search(r"^\s+Key=0x([0-9a-f]+)$", told, re.MULTILINE)
        kind = re.search(r"type: (.*)$", told, re.MULTILINE)
        found.append(
            Reserved(
                name,
                tuple(decode_key(int(key, 16)) for key in keys),
                decode_key(int(holder[1], 16)) if holder else None,
                kind[1].strip() if kind else "",
            )
        )
    return tuple(found)


def complaints(found: Sequence[Reserved], disks: Sequence[str], side: Side) -> list[str]:
    """Return why these disks are not reserved by this controller alone, with one key: a line for each disk."""
    if [one.disk for one in found] != list(disks):
        return [f"asked for {', '.join(disks)}, told of {', '.join(one.disk for one in found) or 'none'}"]
    wanted = found[0].holder
    return [
        f"{one.disk}: held by {one.holder} ({one.kind or 'no reservation'}), registered: "
        f"{', '.join(map(str, one.registered)) or 'nobody'}; should be {wanted} of {side} alone"
        for one in found
        if wanted is None
        or wanted.side is not side
        or (one.holder, one.registered, one.kind) != (wanted, (wanted,), TYPE)
    ]
