"""What the kernel tells of clients, as values; the names that clients give themselves are hostile."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.system.shares.nfs.client_list import NAME_MAX, ClientRecord, parse_devices, parse_info

PLACE = Path("/proc/fs/nfsd/clients/7")
INFO = r"""clientid: 0x5e2f1d5d6a5b4c3d
address: "10.77.0.2:823"
status: courtesy
seconds from last renew: 212
name: "Linux NFSv4.2 c1\x0a: \x22evil\x22"
minor version: 2
Implementation domain: "kernel.org"
callback state: UP
callback address: 10.77.0.2:0
"""


def test_a_client_is_read() -> None:
    name = r"Linux NFSv4.2 c1\x0a: \x22evil\x22"
    found = parse_info(PLACE, INFO)
    assert found == ClientRecord(PLACE, "10.77.0.2:823", name, 2, "courtesy", 212)
    assert found.connected().detail == "NFS 4.2, courtesy"


def test_names_are_cut_and_cleaned() -> None:
    found = parse_info(PLACE, INFO.replace("c1", "\x1b[2J" + "n" * 500))
    assert found is not None
    assert len(found.name) == NAME_MAX
    assert found.name.isprintable()


def test_a_client_that_leaves_meanwhile_is_no_client() -> None:
    assert parse_info(PLACE, "") is None
    assert parse_info(PLACE, "minor version: x\nstatus: confirmed\n") is None


def test_the_file_systems_in_which_a_client_has_files_open_are_read() -> None:
    text = (
        rb'- 0x01: { type: open, access: rw, deny: --, superblock: "00:34:2", filename: "a", owner: "o\x22: 1:2:3" }'
        b'\n- 0x02: { type: lock, superblock: "fd:10:13649", filename: "/x" }\n- 0x03: { type: layout }\n'
    )
    assert parse_devices(text) == {os.makedev(0, 0x34), os.makedev(0xFD, 0x10)}
    assert parse_devices(b"superblock: damaged") == set()
