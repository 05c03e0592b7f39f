"""Keys and mounts of pools that were imported without any.

Decides the order: what can be mounted is mounted at once while the keys are looked for; where keys had to be loaded,
the rest follows. A filesystem that cannot be mounted, or whose key is not here, keeps no other from its clients: it is
told, and the pool counts as ready all the same. Only a program that does not end keeps the pool from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.system.zfs import arguments, tools
from reconciler.system.zfs.tables import rows

#: Programs that load keys or mount at the same time.
WIDTH: Final = 8
#: keylocation: where a key can be read without a person (zfsprops(7)).
LOCATIONS: Final = ("file://", "https://", "http://")


@dataclass(frozen=True, slots=True)
class Mountable:
    """One dataset: `root` is the one whose key opens it, "" when it is not encrypted."""

    name: str
    filesystem: bool
    mounts: bool
    mounted: bool
    locked: bool
    location: str
    root: str


def parse_mountable(text: str) -> tuple[Mountable, ...]:
    """The output of `arguments.mountable`. Pure."""
    found = []
    for name, kind, canmount, mountpoint, mounted, keystatus, location, root in rows(text, 8):
        mounts = canmount == "on" and mountpoint not in ("none", "legacy", "-")
        found.append(
            Mountable(
                name=name,
                filesystem=kind == "filesystem",
                mounts=mounts and kind == "filesystem",
                mounted=mounted == "yes",
                locked=keystatus == "unavailable",
                location=location,
                root="" if root == "-" else root,
            )
        )
    return tuple(found)


def roots_to_load(datasets: Iterable[Mountable]) -> tuple[str, ...]:
    """Whose keys are missing here and lie where a program can read them. Pure."""
    return tuple(
        one.name for one in datasets if one.locked and one.root == one.name and one.location.startswith(LOCATIONS)
    )


def unmounted(datasets: Iterable[Mountable]) -> tuple[str, ...]:
    """What should be mounted and is not, each with the key that is missing. Pure."""
    return tuple(
        f"{one.name} (locked)" if one.locked else one.name for one in datasets if one.mounts and not one.mounted
    )


class Mounter:
    """Mounts, and says what could not be."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def mount(self, pools: Sequence[str], end_s: float, lock: int) -> tuple[str, ...]:
        """Load keys and mount everything of these pools; those for which every program has ended."""
        if not pools:
            return ()

        def run(argvs: Sequence[arguments.Argv]) -> list[tools.Outcome]:
            left_s = max(0.0, end_s - time.monotonic())
            return tools.run_all(argvs, width=WIDTH, deadline_s=left_s, keep=(lock,), nice=tools.URGENT)

        listed, mounted = run([arguments.mountable(pools), arguments.mount_all()])
        if not (isinstance(listed, tools.Ended) and isinstance(mounted, tools.Ended)):
            self._say("filesystems cannot be mounted: no end in time")
            return ()
        datasets = parse_mountable(listed.stdout)
        roots = roots_to_load(datasets)
        if roots:
            for root, outcome in zip(roots, run([arguments.load_key(root) for root in roots]), strict=True):
                if isinstance(outcome, tools.Ended) and outcome.code:
                    self._say(f"key of {root}: {' '.join(outcome.stderr.split())}")
            (mounted,) = run([arguments.mount_all()])
            if not isinstance(mounted, tools.Ended):
                self._say("filesystems cannot be mounted: no end in time")
                return ()
        if mounted.code:
            self._say(f"mount: {' '.join(mounted.stderr.split())[:2000]}")
        for one in datasets:
            if one.locked and one.root == one.name and one.name not in roots:
                self._say(f"{one.name} stays locked: its key is at {one.location}")
        return tuple(pools)
