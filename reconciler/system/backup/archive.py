"""The content of a backup: a JSON document with the files of one controller, in base64.

*No path of a backup is used as it is.* A file has a place and a name within it, so that a restore decides where it
goes: beside the node file, or into the directory of the enrolment. Only a file of another place has a whole path, and
the operator allows those one restore at a time. Names never lead upward. Unknown fields are ignored, and a newer format
is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from reconciler.errors import StateError, shape_defect

FORMAT: Final = "hagit.backup/1"
FILES_MAX: Final = 256
FILE_BYTES_MAX: Final = 1 << 20
FILES_BYTES_MAX: Final = 8 << 20
#: Base64 takes four bytes for three.
DOCUMENT_BYTES_MAX: Final = 12 << 20
NAME_PARTS_MAX: Final = 12
NAME_PART_BYTES_MAX: Final = 255
#: First parts of paths that belong to the system or the kernel, and never to a configuration.
SYSTEM: Final = frozenset({"bin", "boot", "dev", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "usr"})


class Place(StrEnum):
    """Where a file belongs. NODE: the node file. OUTSIDE: its name is an absolute path."""

    NODE = "node"
    CONFIGURATION = "configuration"
    PEER = "peer"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file: its place, its name within it (parts with `/`), whether other users may read it, and its content."""

    place: Place
    name: str
    public: bool
    content: bytes


@dataclass(frozen=True, slots=True)
class Backup:
    """The files of one controller. `made_s`: epoch seconds; `serial` of its hardware; both may be unknown, as `pair`.

    `directory`: where the node file was; `state`: the state directory.
    """

    controller: str
    files: tuple[BackupFile, ...]
    pair: str = ""
    serial: str = ""
    host: str = ""
    made_s: float = 0.0
    version: str = ""
    directory: str = ""
    state: str = ""

    @property
    def node(self) -> BackupFile:
        """The node file."""
        return next(file for file in self.files if file.place is Place.NODE)


def encode_backup(backup: Backup) -> bytes:
    """The document of a backup. Raises StateError when it is larger than a restore takes."""
    document = {
        "format": FORMAT,
        "hagit": backup.version,
        "made_s": backup.made_s,
        "pair": backup.pair,
        "controller": backup.controller,
        "serial": backup.serial,
        "host": backup.host,
        "directory": backup.directory,
        "state": backup.state,
        "files": [
            {
                "place": str(file.place),
                "name": file.name,
                "public": file.public,
                "content": base64.b64encode(file.content).decode(),
            }
            for file in backup.files
        ],
    }
    data = json.dumps(document, ensure_ascii=True).encode()
    decode_backup(data)
    return data


def decode_backup(data: bytes) -> Backup:
    """The backup in a document. Raises StateError for another format, a damaged document, and names that lead away."""
    try:
        if len(data) > DOCUMENT_BYTES_MAX:
            raise ValueError(f"larger than {DOCUMENT_BYTES_MAX >> 20} MiB")
        document = json.loads(data)
        form = document["format"]
        if form != FORMAT:
            raise StateError(
                f"this backup has the format {form!s:.40}, and this hagit reads {FORMAT}",
                remedy="install the release of hagit that made it, and restore with that",
            )
        files = tuple(_file(entry) for entry in _listed(document["files"]))
        _require_together(files)
        controller = document["controller"]
        if controller not in ("a", "b"):
            raise ValueError("`controller` is neither a nor b")
        texts = {name: _text(document, name) for name in ("pair", "serial", "host", "directory", "state")}
        made_s = document.get("made_s", 0.0)
        return Backup(
            controller, files, version=_text(document, "hagit"), **texts,
            made_s=float(made_s) if isinstance(made_s, int | float) else 0.0,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StateError(
            f"this is no backup of hagit, or a damaged one: {shape_defect(error)}",
            remedy="nothing was restored; use another backup",
        ) from error


def _listed(files: Any) -> list[Any]:
    if not isinstance(files, list) or len(files) > FILES_MAX:
        raise ValueError(f"`files` is no list of at most {FILES_MAX} files")
    return files


def _file(entry: Mapping[str, Any]) -> BackupFile:
    name, content = entry["name"], entry["content"]
    if not isinstance(name, str) or not isinstance(content, str):
        raise ValueError("a file without a name or content")
    try:
        place, data = Place(entry["place"]), base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the file {name[:100]!r} is damaged or has an unknown place") from None
    if len(data) > FILE_BYTES_MAX:
        raise ValueError(f"the file {name[:100]!r} has more than {FILE_BYTES_MAX >> 20} MiB")
    if not (name == "" if place is Place.NODE else fits(name, absolute=place is Place.OUTSIDE)):
        raise ValueError(f"the name {name[:100]!r} leads away from its place")
    return BackupFile(place, name, entry.get("public") is True, data)


def fits(name: str, *, absolute: bool) -> bool:
    """Whether a name may stand in a backup: parts with `/`, no `..`, no control characters, nothing of the system."""
    if absolute and not name.startswith("/"):
        return False
    parts = name.removeprefix("/").split("/") if absolute else name.split("/")
    return (
        0 < len(parts) <= NAME_PARTS_MAX
        and name.isprintable()
        and not (absolute and (parts[0] in SYSTEM or len(parts) == 1))
        and all(part not in ("", ".", "..") and len(part.encode()) <= NAME_PART_BYTES_MAX for part in parts)
    )


def _require_together(files: tuple[BackupFile, ...]) -> None:
    places = [(file.place, file.name) for file in files]
    if len(set(places)) != len(places):
        raise ValueError("one file stands in it twice")
    if sum(file.place is Place.NODE for file in files) != 1:
        raise ValueError("it has no node file")
    if sum(len(file.content) for file in files) > FILES_BYTES_MAX:
        raise ValueError(f"its files have more than {FILES_BYTES_MAX >> 20} MiB")


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name, "")
    return value[:4096] if isinstance(value, str) else ""
