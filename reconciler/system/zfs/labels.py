"""ZFS labels: which pool, vdev and device a disk says it is, and who used it last. Pure: bytes in, values out.

A label is 256 KiB: 16 KiB that ZFS leaves alone, 112 KiB with a name-value list in XDR, 128 KiB of uberblocks
(module/zfs/vdev_label.c). Every device of a vdev carries the whole tree of its own top-level vdev, and the number of
those. Cache devices and spares carry no pool. Decides nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

#: Where the list is in the first two labels of a device, and how long it may be. One of the two is always whole: they
#: are written one after the other.
LIST_OFFSETS: Final = (16 << 10, (256 + 16) << 10)
LIST_BYTES: Final = 112 << 10
#: Depth of an undamaged tree: a vdev in a replacement in a spare in a raidz, with room.
DEPTH_MAX: Final = 8
#: What stands at a device that is written no more (module/zfs/vdev_label.c, vdev_config_generate).
GIVEN_UP: Final = ("offline", "faulted", "removed", "not_present")
#: What stands at a device that lacks what is being copied to it.
BEHIND: Final = ("resilver_txg", "rebuild_txg")
#: Vdevs whose children stand in for one another, below the vdev that has them (module/zfs/vdev_mirror.c).
STAND_INS: Final = ("spare", "replacing")
#: A distributed spare of a draid: a device of the tree, and no disk.
DISTRIBUTED: Final = "dspare"
_XDR: Final = b"\x01"
#: sys/nvpair.h: how many bytes an element takes in XDR, of the types that labels have.
_UINT64, _STRING, _LIST, _LISTS, _UINT64S = 8, 9, 19, 20, 16


class LabelState(IntEnum):
    """include/sys/fs/zfs.h, pool_state_t."""

    ACTIVE = 0
    EXPORTED = 1
    DESTROYED = 2
    SPARE = 3
    CACHE = 4


@dataclass(frozen=True, slots=True)
class Label:
    """What one device says of itself.

    `guid`: its own. `leaves`: the GUIDs of all devices of its top-level vdev. `top`: the place of that vdev in the
    pool, of `tops` places; `holes` are the empty ones. `hostid` and `hostname`: the host that wrote the label last.
    `txg`: when; labels are written when the layout or the state of a device changes, not with every write. `given_up`:
    those of the leaves that the pool had given up by then (offline, faulted, removed, not there when it was imported).
    `behind`: those that were being resilvered. `places`: the leaves, together where one stands in for another (a spare
    in use, a replacement). `written`: the newest transaction group in the uberblocks of the device, 0 when not known.
    """

    state: int
    guid: int
    pool: str = ""
    pool_guid: int = 0
    txg: int = 0
    top: int = 0
    tops: int = 0
    holes: tuple[int, ...] = ()
    leaves: tuple[int, ...] = ()
    given_up: tuple[int, ...] = ()
    hostid: int = 0
    hostname: str = ""
    behind: tuple[int, ...] = ()
    places: tuple[tuple[int, ...], ...] = ()
    written: int = 0

    @property
    def in_pool(self) -> bool:
        """Whether it is a device of a pool that can be imported."""
        return self.state in (LabelState.ACTIVE, LabelState.EXPORTED) and self.pool_guid != 0


def parse_label(data: bytes) -> Label | None:
    """The list of a label, as it is read from one of LIST_OFFSETS; None: there is none, or it is damaged."""
    try:
        values = _unpack(data)
        tree = values.get("vdev_tree", {})
        return Label(
            state=int(values["state"]),
            guid=int(values["guid"]),
            pool=str(values.get("name", "")),
            pool_guid=int(values.get("pool_guid", 0)),
            txg=int(values.get("txg", 0)),
            top=int(tree.get("id", 0)),
            tops=int(values.get("vdev_children", 0)),
            holes=tuple(values.get("hole_array", ())),
            leaves=_guids(tree),
            given_up=_guids(tree, GIVEN_UP),
            hostid=int(values.get("hostid", 0)),
            hostname=str(values.get("hostname", "")),
            behind=_guids(tree, BEHIND),
            places=tuple(guids for place in _places(tree) if (guids := _guids(place))),
        )
    except (struct.error, ValueError, KeyError, TypeError, AttributeError):
        return None


def _guids(tree: dict[str, Any], words: tuple[str, ...] = ()) -> tuple[int, ...]:
    """The GUIDs of the devices of a vdev; with `words`, of those where any of these stands."""
    leaves = _leaves(tree, 0)
    return tuple(int(leaf["guid"]) for leaf in leaves if not words or any(leaf.get(word) for word in words))


def _places(tree: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The children of a top-level vdev that hold different parts or copies of it."""
    children = tuple(tree.get("children", ()))
    return (tree,) if not children or tree.get("type") in STAND_INS else children


def _leaves(tree: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    children = tree.get("children", ())
    if depth > DEPTH_MAX:
        raise ValueError("too deep")
    if not children and "guid" in tree and tree.get("type") != DISTRIBUTED:
        yield tree
    for child in children:
        yield from _leaves(child, depth + 1)


def _unpack(data: bytes) -> dict[str, Any]:
    """module/nvpair/nvpair.c: a byte for the encoding, one for the byte order, two of nothing; then the list."""
    if data[:1] != _XDR:
        raise ValueError("not in XDR")
    return _list(data, 4, 0)[0]


def _list(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    """A list and where it ends: version and flags, pairs, a pair of size 0."""
    if depth > DEPTH_MAX:
        raise ValueError("too deep")
    found: dict[str, Any] = {}
    at += 8
    while True:
        size, _ = struct.unpack_from(">ii", data, at)
        if size == 0:
            return found, at + 8
        if size < 20 or at + size > len(data):
            raise ValueError("a pair without an end")
        name, inside = _string(data, at + 8)
        kind, count = struct.unpack_from(">ii", data, inside)
        value = _value(data, inside + 8, kind, count, depth)
        if value is not None:
            found[name] = value
        at += size


def _value(data: bytes, at: int, kind: int, count: int, depth: int) -> Any:
    """A value of the types that are read; None for the others."""
    if kind == _UINT64:
        return struct.unpack_from(">Q", data, at)[0]
    if kind == _STRING:
        return _string(data, at)[0]
    if kind == _UINT64S and 0 <= count <= LIST_BYTES // 8:
        # An array says its length again.
        return struct.unpack_from(f">{count}Q", data, at + 4)
    if kind == _LIST:
        return _list(data, at, depth + 1)[0]
    if kind == _LISTS:
        lists = []
        for _ in range(count):
            one, at = _list(data, at, depth + 1)
            lists.append(one)
        return lists
    return None


def _string(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">I", data, at)
    end = at + 4 + length
    if end > len(data):
        raise ValueError("a string without an end")
    return data[at + 4 : end].decode(), at + 4 + (length + 3 & ~3)
