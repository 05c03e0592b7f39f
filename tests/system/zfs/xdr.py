"""Name-value lists in XDR, as ZFS writes them into labels (module/nvpair/nvpair.c): enough to make labels by hand."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any


def packed(values: Mapping[str, Any]) -> bytes:
    """A whole list, as it stands 16 KiB behind the beginning of a device."""
    return b"\x01\x01\0\0" + _list(values)


def label(**changes: Any) -> bytes:
    """The label of one half of a mirror, the second of two top-level vdevs."""
    tree = {
        "type": "mirror",
        "id": 1,
        "guid": 100,
        "children": [
            {"type": "disk", "id": 0, "guid": 11, "path": "/dev/disk/by-id/wwn-0x1-part1"},
            {"type": "disk", "id": 1, "guid": 12, "path": "/dev/disk/by-id/wwn-0x2-part1"},
        ],
    }
    values: dict[str, Any] = {
        "version": 5000,
        "name": "tank",
        "state": 0,
        "txg": 4,
        "pool_guid": (1 << 64) - 7,
        "errata": 0,
        "hostid": 0xDEADBEEF,
        "hostname": "alpha",
        "top_guid": 100,
        "guid": 12,
        "vdev_children": 2,
        "vdev_tree": tree,
        "features_for_read": {"com.delphix:hole_birth": True},
        **changes,
    }
    return packed(values).ljust(112 << 10, b"\0")


def _list(values: Mapping[str, Any]) -> bytes:
    return struct.pack(">ii", 0, 1) + b"".join(_pair(name, value) for name, value in values.items()) + bytes(8)


def _pair(name: str, value: Any) -> bytes:
    kind, count, data = _value(value)
    body = _string(name) + struct.pack(">ii", kind, count) + data
    return struct.pack(">ii", len(body) + 8, len(body) + 8) + body


def _value(value: Any) -> tuple[int, int, bytes]:
    match value:
        case bool():
            return 1, 0, b""
        case int():
            return 8, 1, struct.pack(">Q", value)
        case str():
            return 9, 1, _string(value)
        case Mapping():
            return 19, 1, _list(value)
        case Sequence() if value and isinstance(value[0], Mapping):
            return 20, len(value), b"".join(_list(one) for one in value)
        case _:
            return 16, len(value), struct.pack(f">I{len(value)}Q", len(value), *value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)
