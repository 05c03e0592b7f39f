"""How a size, a mount point or the name of a dataset is written, and what is said when it is not.

Decides on one value at a time; what two values mean together is `lint`'s.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import PlainValidator, WithJsonSchema

from reconciler.core.facts.storage import UNITS
from reconciler.core.spec.values import refuse, shown

SIZE: Final = r"[0-9]{1,19}(\.[0-9]{1,6})?([KMGTPE](iB|B)?)?"
_SIZE = re.compile(rf"([0-9]{{1,19}}(?:\.[0-9]{{1,6}})?)([{UNITS}]?)(?:iB|B)?")
SIZE_BYTES_MAX: Final = (1 << 63) - 1

#: module/zcommon/zfs_namecheck.c allows spaces, too; a pool begins with a letter.
DATASET: Final = r"[A-Za-z][A-Za-z0-9_.:-]*(/[A-Za-z0-9_][A-Za-z0-9_.:-]*)*"
#: include/sys/fs/zfs.h, ZFS_MAX_DATASET_NAME_LEN, less its terminating zero; and zfs_namecheck.c, nesting.
DATASET_BYTES_MAX: Final = 255
DEPTH_MAX: Final = 50
#: As `zfs set` and programs of people take it, whatever they do with it: no white space, no signs of a shell.
KEY_LOCATION: Final = r"file:///[A-Za-z0-9_.@+:=,-][A-Za-z0-9_.@+:=,/-]{0,999}"
COMPRESSION: Final = (
    r"on|off|lz4|lzjb|zle|gzip(-[1-9])?|zstd(-([1-9]|1[0-9]))?|zstd-fast(-([1-9]|[1-9]0|100|500|1000))?"
)


def _size(value: Any) -> int:
    """A size in bytes."""
    remedy = "Write a number and K, M, G, T or P: 10G, 1.5T; each is 1,024 times the one before."
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise refuse("size", f"{shown(value)} is no size", remedy)
    match = _SIZE.fullmatch(str(value))
    if not match:
        raise refuse("size", f"{shown(value)} is no size", remedy)
    factor = 1024 ** (UNITS.index(match[2]) + 1 if match[2] else 0)
    size = int(Decimal(match[1]) * factor)
    if not 0 < size <= SIZE_BYTES_MAX:
        raise refuse("size", f"{shown(value)} is {'nothing' if size == 0 else 'more than ZFS counts'}", remedy)
    return size


def _quota(value: Any) -> int:
    """A size in bytes, 0 for none."""
    return 0 if value == "none" else _size(value)


def _power_of_two(least: int, most: int, code: str) -> Any:
    def check(value: Any) -> int:
        size = _size(value)
        if size & (size - 1) or not least <= size <= most:
            what = f"{shown(value)} is no power of two from {least} to {most >> 10}K"
            raise refuse(code, what, "Write 16K, 128K or 1M, for instance.")
        return size

    return check


def _dataset(value: Any) -> str:
    remedy = "Write the pool and the names below it: tank/home/alice, with letters, digits and _ . : - in them."
    if not isinstance(value, str) or not re.fullmatch(DATASET, value) or len(value) > DATASET_BYTES_MAX:
        raise refuse("dataset-name", f"{shown(value)} is no name of a dataset", remedy)
    if value.count("/") >= DEPTH_MAX or any(set(part) <= {"."} for part in value.split("/")):
        raise refuse("dataset-name", f"{shown(value)} is no name of a dataset", remedy)
    return value


def _mountpoint(value: Any) -> str:
    if value in ("none", "legacy"):
        return str(value)
    text = value if isinstance(value, str) else ""
    parts = text.split("/")
    if not text.startswith("/") or ".." in parts or "." in parts or not text.isprintable() or len(text) > 1023:
        remedy = "Write an absolute path, or none, or legacy."
        raise refuse("mountpoint", f"{shown(value)} is no mount point", remedy)
    return "/" + "/".join(part for part in parts if part)


def _compression(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(COMPRESSION, value):
        remedy = "Write on, off, lz4, zstd, zstd-1 to zstd-19, gzip-1 to gzip-9, zle or lzjb."
        raise refuse("compression", f"{shown(value)} is no way to compress", remedy)
    return value


def _key_location(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    if not re.fullmatch(KEY_LOCATION, text) or ".." in text.split("/"):
        remedy = "Write file:// and the absolute path of a file that both controllers have, outside git."
        raise refuse("key-location", f"{shown(value)} is no place of a key", remedy)
    return text


def _comment(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[ -~]{1,32}", value):
        raise refuse("comment", f"{shown(value)} is no comment", "Use printable ASCII, at most 32.")
    return value


def _text(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$", "examples": list(examples)})


def _amount(*examples: str | int, none: bool = False) -> WithJsonSchema:
    pattern = f"^({SIZE}{'|none' if none else ''})$"
    return WithJsonSchema({"type": ["string", "integer"], "pattern": pattern, "examples": list(examples)})


Size = Annotated[int, PlainValidator(_size), _amount("10G", "1.5T")]
Quota = Annotated[int, PlainValidator(_quota), _amount("10G", "none", none=True)]
RecordSize = Annotated[int, PlainValidator(_power_of_two(512, 16 << 20, "record-size")), _amount("128K", "1M")]
BlockSize = Annotated[int, PlainValidator(_power_of_two(512, 128 << 10, "block-size")), _amount("16K")]
DatasetName = Annotated[str, PlainValidator(_dataset), _text(DATASET, "tank/home")]
MountPoint = Annotated[str, PlainValidator(_mountpoint), _text("/.*|none|legacy", "/srv/home")]
Compression = Annotated[str, PlainValidator(_compression), _text(COMPRESSION, "zstd")]
KeyLocation = Annotated[str, PlainValidator(_key_location), _text(KEY_LOCATION, "file:///etc/hagit/keys/tank-home")]
Comment = Annotated[str, PlainValidator(_comment), _text("[ -~]{1,32}", "shelf 1, room 2")]
