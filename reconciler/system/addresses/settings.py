"""Settings: how the interfaces with virtual addresses answer ARP, set while they are managed and given back after.

Decides the values (ip-sysctl: arp_ignore 1, arp_announce 2, promote_secondaries 1) and keeps what was there before in
a journal, written before anything is changed, so that a start after a crash goes on from it. A value that another
program changed is put right while managed, and left as it is when hagit stops managing it. IPv6 needs no
setting: neighbour solicitations are answered per interface anyway, and the addresses say for themselves that detection
is off. Set through netlink by index, so that a renamed interface is the same one.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from reconciler.errors import StateError
from reconciler.system.addresses import messages
from reconciler.system.addresses.links import Links
from reconciler.system.addresses.plan import Problem
from reconciler.system.addresses.snapshot import (
    ARP_ANNOUNCE,
    ARP_IGNORE,
    PROMOTE_SECONDARIES,
    LinkSeen,
    NetworkSnapshot,
)
from reconciler.system.files import read_json, write_json
from reconciler.system.netlink import wire
from reconciler.system.netlink.channel import KernelRefused, Unreadable

WANTED: Final = {ARP_IGNORE: 1, ARP_ANNOUNCE: 2, PROMOTE_SECONDARIES: 1}
_NAMES: Final = {ARP_IGNORE: "arp_ignore", ARP_ANNOUNCE: "arp_announce", PROMOTE_SECONDARIES: "promote_secondaries"}
_POSITIONS: Final = {name: position for position, name in _NAMES.items()}
#: More entries than this is no journal of ours.
ENTRIES_MAX: Final = 1_024


class InterfaceSettings:
    """Keeps the settings of some interfaces. `journal` lies in a directory that vanishes with a reset, as they do.

    `before` are the values found, by index; an index that the kernel gave to another interface since is told by the
    permanent MAC.
    """

    def __init__(self, links: Links, journal: Path) -> None:
        self._links = links
        self._journal = journal
        self._before: dict[int, tuple[str, dict[int, int]]] = {}
        self.problem: Problem | None = None
        try:
            self._before = _entries(read_json(journal))
        except StateError as problem:
            self.problem = Problem(str(journal), problem.what)

    def manage(self, indices: Collection[int], snapshot: NetworkSnapshot) -> tuple[Problem, ...]:
        """Exactly these interfaces have our settings after this; the others get theirs back."""
        problems: list[Problem] = []
        kept = dict(self._before)
        gone: list[LinkSeen] = []
        for index, (mac, _) in self._before.items():
            link = snapshot.links.get(index)
            if link is None or link.permanent != mac:
                del kept[index]
            elif index not in indices:
                gone.append(link)
        for index in sorted(indices):
            link = snapshot.links.get(index)
            if link is not None and index not in kept and len(kept) < ENTRIES_MAX and link.arp:
                found = dict(link.arp)
                kept[index] = (link.permanent, {position: found[position] for position in WANTED if position in found})
        self._remember(kept, problems)
        for index in sorted(kept.keys() & set(indices)):
            problems += self._set(snapshot.links[index], WANTED)
        for link in gone:
            before = kept.pop(link.index)[1]
            found = dict(link.arp)
            # A value that is not as we set it was set by another process since: leave it.
            problems += self._set(link, {at: value for at, value in before.items() if found.get(at) == WANTED[at]})
        self._remember(kept, problems)
        return tuple(problems)

    def restore(self, snapshot: NetworkSnapshot) -> tuple[Problem, ...]:
        """Gives everything back."""
        return self.manage((), snapshot)

    def _remember(self, entries: dict[int, tuple[str, dict[int, int]]], problems: list[Problem]) -> None:
        if entries == self._before and self.problem is None:
            return
        self._before = dict(entries)
        self.problem = None
        try:
            if entries:
                # Not synced: it has to outlive this process, and the settings do not outlive the kernel.
                write_json(self._journal, _document(entries), sync=False)
            else:
                self._journal.unlink(missing_ok=True)
        except (StateError, OSError) as problem:
            self.problem = Problem(str(self._journal), f"what was set before cannot be kept: {problem}")
            problems.append(self.problem)

    def _set(self, link: LinkSeen, values: dict[int, int]) -> list[Problem]:
        found = dict(link.arp)
        changes = {position: value for position, value in values.items() if found.get(position) != value}
        if not changes:
            return []
        try:
            self._links.channel.request(wire.SET_LINK, 0, messages.ipv4_settings(link.index, changes))
        except (KernelRefused, Unreadable, wire.MalformedMessage, OSError) as problem:
            what = ", ".join(f"{_NAMES[position]}={value}" for position, value in changes.items())
            return [Problem(link.name, f"cannot set {what}: {problem}")]
        return []


def _document(entries: dict[int, tuple[str, dict[int, int]]]) -> dict[str, Any]:
    return {
        "interfaces": [
            {"index": index, "mac": mac, **{_NAMES[position]: value for position, value in before.items()}}
            for index, (mac, before) in sorted(entries.items())
        ]
    }


def _entries(document: Any) -> dict[int, tuple[str, dict[int, int]]]:
    """The journal as it was written; whatever is not of its form is left out."""
    rows = document.get("interfaces") if isinstance(document, dict) else None
    entries: dict[int, tuple[str, dict[int, int]]] = {}
    for row in rows[:ENTRIES_MAX] if isinstance(rows, list) else ():
        if not isinstance(row, dict) or not isinstance(row.get("index"), int) or not isinstance(row.get("mac"), str):
            continue
        before = {_POSITIONS[key]: value for key, value in row.items() if key in _POSITIONS and isinstance(value, int)}
        entries[row["index"]] = (row["mac"], before)
    return entries
