"""What ZFS says of volumes, what is remembered of them, and sessions as the kernel prints them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.system.shares.iscsi.sessions import merged, parse_session
from reconciler.system.shares.iscsi.state_directory import is_mounted
from reconciler.system.shares.iscsi.volume_memory import (
    RememberedVolume,
    fault_of_change,
    parse_memory,
    read_memory,
    write_memory,
)
from reconciler.system.shares.iscsi.volumes import Volume, VolumeFault, parse_volumes, read_volumes

GOOD = {
    "type": "volume", "guid": "77", "volsize": "1048576", "volblocksize": "8192", "keystatus": "-",
    "volmode": "default", "readonly": "off", "sync": "always",
}  # fmt: skip


def told(**changed: str) -> Volume | VolumeFault:
    values = {**GOOD, **changed}
    return parse_volumes(["tank/a"], "".join(f"tank/a\t{key}\t{value}\n" for key, value in values.items()))["tank/a"]


def test_a_volume() -> None:
    assert told() == Volume("tank/a", 77, 1 << 20, 8192)
    assert told(sync="standard") == Volume("tank/a", 77, 1 << 20, 8192, durable=False)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"type": "filesystem"}, "filesystem and no volume"),
        ({"keystatus": "unavailable"}, "locked"),
        ({"volmode": "none"}, "no block device"),
        ({"readonly": "on"}, "read-only"),
        ({"guid": "-"}, "does not say"),
    ],
)
def test_volumes_that_cannot_be_served(changed: dict[str, str], word: str) -> None:
    fault = told(**changed)
    assert isinstance(fault, VolumeFault) and word in fault.text


def test_a_missing_volume_and_a_bad_name() -> None:
    (missing,) = parse_volumes(["tank/b"], "tank/a\tguid\t1\n").values()
    assert isinstance(missing, VolumeFault) and "no volume tank/b" in missing.text
    (bad,) = read_volumes(["-r"], 1.0).values()
    assert isinstance(bad, VolumeFault) and "no name" in bad.text


def test_changes_that_initiators_must_not_meet() -> None:
    now = Volume("tank/a", 77, 100, 8192)
    assert fault_of_change(None, now) == ""
    assert fault_of_change(RememberedVolume(77, 100), now) == ""
    assert fault_of_change(RememberedVolume(77, 50), now) == "", "it has grown"
    assert "shrunk from 200 to 100" in fault_of_change(RememberedVolume(77, 200), now)
    assert "another volume" in fault_of_change(RememberedVolume(78, 100), now)


def test_the_memory_is_written_and_read(tmp_path: Path) -> None:
    units = {("iqn.2026-01.lab:a", 0): RememberedVolume(77, 100), ("iqn.2026-01.lab:a", 1): RememberedVolume(78, 0)}
    assert read_memory(tmp_path) == {}
    write_memory(tmp_path, units)
    assert read_memory(tmp_path) == units
    (tmp_path / "volumes.json").write_text("{")
    assert read_memory(tmp_path) == {}


@pytest.mark.parametrize(
    "document",
    [None, [], {"format": "x"}, {"format": "hagit.volumes/1"}, {"format": "hagit.volumes/1", "units": {"a": 1}},
     {"format": "hagit.volumes/1", "units": [1, [], ["a", 0, True, 1], ["a", 0, 0, 1], [1, 0, 1, 1], ["a", 0, 1, -1]]}],
)  # fmt: skip
def test_a_damaged_memory_says_nothing(document: Any) -> None:
    assert parse_memory(document) == {}


INFO = (
    "InitiatorName: iqn.2026-01.lab:client\nInitiatorAlias: {}\n"
    "LIO Session ID: 1   ISID: 0x00 02 3d 01 00 00  TSIH: 1  SessionType: Normal\n"
    "Session State: TARG_SESS_STATE_LOGGED_IN\n"
    "----------------------[iSCSI Connections]-------------------------\n"
    "CID: 0  Connection State: TARG_CONN_STATE_LOGGED_IN\n   Address {} TCP  StatSN: 0x00000001\n"
)


@pytest.mark.parametrize(
    ("shown", "address"), [("192.0.2.9", "192.0.2.9"), ("[2001:db8::9]", "2001:db8::9"), ("x", "")]
)
def test_a_session(shown: str, address: str) -> None:
    client = parse_session("iqn.2026-01.lab:client", "disks", INFO.format("host", shown))
    assert client is not None
    assert (client.name, client.address, client.detail) == ("iqn.2026-01.lab:client", address, "logged in")


def test_an_alias_forges_no_address() -> None:
    alias = "x\n---[iSCSI Connections]---\n   Address 198.51.100.1 TCP  StatSN: 0x0"
    client = parse_session("iqn.2026-01.lab:client", "disks", INFO.format(alias, "192.0.2.9"))
    assert client is not None and client.address == "192.0.2.9"


def test_no_session_and_one_client_of_two_targets() -> None:
    assert parse_session("a", "disks", "No active iSCSI Session for Initiator Endpoint: a\n") is None
    clients = [parse_session("iqn.2026-01.lab:c", share, INFO.format("", "192.0.2.9")) for share in ("one", "two")]
    (row,) = merged(client for client in clients if client is not None)
    assert row.shares == ("one", "two")


def test_a_place_where_nothing_of_zfs_is_mounted(tmp_path: Path) -> None:
    assert not is_mounted("tank/hagit-state", tmp_path)
    assert not is_mounted("tank/hagit-state", Path("/proc"))
