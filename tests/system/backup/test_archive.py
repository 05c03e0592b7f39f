"""What a backup may hold: hostile, damaged, newer and larger documents are refused, each with a reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.errors import StateError
from reconciler.system.backup.archive import (
    FILE_BYTES_MAX,
    FILES_MAX,
    Backup,
    BackupFile,
    Place,
    decode_backup,
    encode_backup,
    fits,
)

NODE = BackupFile(Place.NODE, "", True, b'controller = "a"\n')
SECRET = BackupFile(Place.CONFIGURATION, "chap/vm", False, bytes(range(256)))


def document(*files: BackupFile) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(encode_backup(Backup("a", (NODE, *files), pair="north", serial="A1")))
    return made


def refused(made: dict[str, Any], says: str) -> None:
    with pytest.raises(StateError) as caught:
        decode_backup(json.dumps(made).encode())
    assert says in caught.value.what and caught.value.remedy, caught.value


def test_a_backup_is_read_back_as_it_was() -> None:
    backup = Backup(
        "b",
        (NODE, SECRET, BackupFile(Place.OUTSIDE, "/root/.ssh/id", False, b"x")),
        "north",
        "B1",
        "north-b",
        5.0,
        "0.1",
    )
    assert decode_backup(encode_backup(backup)) == backup and backup.node is NODE


def test_unknown_fields_are_ignored_and_missing_ones_have_defaults() -> None:
    made = document()
    made["colour"] = "blue"
    made["files"][0] |= {"acl": [1], "public": "yes"}
    for name in ("pair", "serial", "host", "made_s", "hagit", "directory", "state"):
        del made[name]
    read = decode_backup(json.dumps(made).encode())
    assert (read.pair, read.serial, read.made_s, read.node.public) == ("", "", 0.0, False)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../../x",
        "/etc/shadow",
        "a//b",
        "a/",
        "a\x00b",
        "a\nb",
        "a\u202eb",
        "x" * 256,
        "a/" * 12 + "a",
    ],
)
def test_no_name_leads_away_from_its_place(name: str) -> None:
    made = document(SECRET)
    made["files"][1]["name"] = name
    refused(made, "leads away")
    assert not fits(name, absolute=False)


@pytest.mark.parametrize(
    "name", ["etc/x", "/", "/x", "/../x", "/etc/../x", "/proc/1/mem", "/dev/sda", "/usr/bin/x", "/run/x/y"]
)
def test_no_whole_path_is_that_of_the_system(name: str) -> None:
    made = document(BackupFile(Place.OUTSIDE, "/root/key", False, b""))
    made["files"][1]["name"] = name
    refused(made, "leads away")


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda made: made.update(format="hagit.backup/2"), "this hagit reads hagit.backup/1"),
        (lambda made: made.pop("files"), "`files` is missing"),
        (lambda made: made.update(files={}), "no list"),
        (lambda made: made.update(files=[None]), "no backup of hagit"),
        (lambda made: made["files"].append(dict(made["files"][1])), "twice"),
        (lambda made: made["files"].pop(0), "no node file"),
        (lambda made: made["files"][1].update(place="home"), "unknown place"),
        (lambda made: made["files"][1].update(content="%%%"), "damaged"),
        (lambda made: made["files"][1].update(content=7), "without a name or content"),
        (lambda made: made["files"][0].update(name="node.toml"), "leads away"),
        (lambda made: made.update(controller="c"), "neither a nor b"),
        (
            lambda made: made["files"][1].update(content=base64.b64encode(bytes(FILE_BYTES_MAX + 1)).decode()),
            "more than 1 MiB",
        ),
        (lambda made: made.update(files=made["files"][:1] * (FILES_MAX + 1)), "at most 256"),
    ],
)
def test_what_is_refused(change: Callable[[dict[str, Any]], object], says: str) -> None:
    made = document(SECRET)
    change(made)
    refused(made, says)


def test_too_much_is_refused_when_it_is_made() -> None:
    files = [BackupFile(Place.CONFIGURATION, f"f{number}", False, bytes(FILE_BYTES_MAX)) for number in range(9)]
    with pytest.raises(StateError, match="MiB"):
        encode_backup(Backup("a", (NODE, *files)))
    for text in (b"", b"[", b"[]", b"7", b"\xff", b"[" * 100_000):
        with pytest.raises(StateError, match="no backup of hagit"):
            decode_backup(text)
