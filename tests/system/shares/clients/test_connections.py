"""The file of the connections: what is written is read again, and what is not of us is refused or left out."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.strict_json import Defect
from reconciler.system.findings import Finding
from reconciler.system.shares.clients import connections
from reconciler.system.shares.clients.connections import (
    CONNECTIONS_MAX,
    FILE_BYTES_MAX,
    FORMAT,
    ClientConnection,
    ConnectionFile,
    decode_connections,
    encode_connections,
)
from reconciler.system.shares.clients.services import ServicePoints
from tests.wait import until

HOST4, HOST6 = "10.0.0.10", "fd00::10"
POINTS = ServicePoints((HOST4, HOST6), (2_049, 3_260))
ONE = ClientConnection(HOST4, 2_049, "10.0.0.9", 812)
TWO = ClientConnection(HOST6, 3_260, "fd00::9", 50_000)


def document(*entries: Any, form: str = FORMAT, **more: Any) -> bytes:
    return json.dumps({"format": form, "connections": entries, **more}).encode()


def entry(**changes: Any) -> dict[str, Any]:
    return {"address": HOST4, "port": 2_049, "client": "10.0.0.9", "client_port": 812, **changes}


def read(file: ConnectionFile) -> tuple[ClientConnection, ...] | Finding:
    data = file.load()
    return data if isinstance(data, Finding) else file.decode(data, POINTS)


def test_what_is_written_is_read_again(state: Path) -> None:
    file = ConnectionFile(state)
    assert read(file) == ()
    assert file.write([TWO, ONE, ONE]) is None
    assert read(file) == (ONE, TWO)
    assert [path.name for path in state.iterdir()] == ["clients.json"]
    assert (state / "clients.json").stat().st_mode & 0o777 == 0o600


def test_it_is_written_when_it_changed_and_once_a_second(state: Path) -> None:
    path = state / "clients.json"
    file = ConnectionFile(state)
    file.write([ONE])
    written = path.stat()
    file.write([ONE, TWO])
    assert read(file) == (ONE,)
    until(lambda: file.write([ONE, TWO]) is None and read(file) == (ONE, TWO))
    assert path.stat().st_mtime_ns - written.st_mtime_ns >= 0.9e9
    inode = path.stat().st_ino
    begun = path.stat().st_mtime_ns
    other = ConnectionFile(state)
    until(lambda: other.write([ONE]) is None and read(other) == (ONE,))
    assert path.stat().st_ino != inode
    assert path.stat().st_mtime_ns >= begun


def test_without_the_state_filesystem_nothing_is_written(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        finding = ConnectionFile(place).write([ONE])
        assert isinstance(finding, Finding)
        assert (finding.code, finding.evidence) == ("clients-unwritten", f"no filesystem is mounted at {place}")
    assert list(tmp_path.iterdir()) == []


def test_a_full_state_filesystem_leaves_the_old_file(state: Path) -> None:
    file = ConnectionFile(state)
    file.write([ONE])
    subprocess.run(["dd", "if=/dev/zero", f"of={state / 'full'}", "bs=64k"], capture_output=True)
    many = [ClientConnection(HOST4, 2_049, "10.0.0.9", port) for port in range(1, 4_000)]
    finding = until(lambda: file.write(many))
    assert isinstance(finding, Finding)
    assert "No space left" in finding.evidence
    assert read(file) == (ONE,)


def test_the_longest_list_fits_and_no_more_is_written() -> None:
    longest = "1111:2222:3333:4444:5555:6666:7777:"
    points = ServicePoints((f"{longest}8888",), (65_535,))
    many = [
        ClientConnection(f"{longest}8888", 65_535, f"{longest}9999", port) for port in range(10_000, 15_000)
    ]  # fmt: skip
    data = encode_connections(many)
    assert len(data) < FILE_BYTES_MAX
    assert decode_connections(data, points) == tuple(many[:CONNECTIONS_MAX])


def test_connections_of_addresses_and_ports_that_are_not_served_are_left_out() -> None:
    data = document(
        entry(), entry(), entry(address="10.0.0.11"), entry(port=22), entry(client=HOST4), entry(client="10.0.0.8")
    )  # fmt: skip
    assert decode_connections(data, POINTS) == (ONE, ClientConnection(HOST4, 2_049, "10.0.0.8", 812))
    assert decode_connections(data, ServicePoints()) == ()


@pytest.mark.parametrize(
    "data",
    [
        b" ",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        document(form="hagit.connections/2"),
        document(more=1),
        document(entry(more=1)),
        document({"address": HOST4}),
        document([HOST4, 2_049, "10.0.0.9", 812]),
        document(*[entry(client_port=1 + port) for port in range(CONNECTIONS_MAX + 1)]),
        document(entry(port="2049")),
        document(entry(port=True)),
        document(entry(port=0)),
        document(entry(client_port=65_536)),
        document(entry(client_port=-1)),
        document(entry(client_port=1.5)),
        document(entry(client="client.example.org")),
        document(entry(client="10.0.0.9\n")),
        document(entry(client="10.0.0.09")),
        document(entry(client="10.0.0.9/32")),
        document(entry(client="10.9")),
        document(entry(client="fd00::9")),
        document(entry(client="127.0.0.1")),
        document(entry(client="0.0.0.0")),
        document(entry(client="255.255.255.255")),
        document(entry(client="224.0.0.1")),
        document(entry(client="169.254.0.1")),
        document(entry(address=HOST6, client="fe80::9")),
        document(entry(address=HOST6, client="fe80::9%e0")),
        document(entry(address=HOST6, client="fd00::9%e0")),
        document(entry(address=HOST6, client="::ffff:10.0.0.9")),
        document(entry(address=HOST6, client="FD00::9")),
        document(entry(address=HOST6, client="ff02::1")),
        document(entry(address="$(reboot)")),
    ],
)
def test_what_is_no_list_of_connections_is_refused_whole(data: bytes, state: Path) -> None:
    with pytest.raises(Defect):
        decode_connections(data, POINTS)
    (state / "clients.json").write_bytes(data)
    finding = read(ConnectionFile(state))
    assert isinstance(finding, Finding)
    assert finding.code == "clients-unread"
    assert finding.evidence.isprintable()
    assert len(finding.evidence) < 400


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_bytes_make_it_raise_anything_else(data: bytes | str) -> None:
    try:
        found = decode_connections(data if isinstance(data, bytes) else data.encode(), POINTS)
    except Defect:
        return
    assert all(connection.address in POINTS.addresses for connection in found)


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "long"])
def test_only_a_regular_file_of_bounded_size_is_read(kind: str, state: Path) -> None:
    path = state / connections.NAME
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        (state / "elsewhere").write_bytes(encode_connections([ONE]))
        path.symlink_to(state / "elsewhere")
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(encode_connections([ONE]) + b" " * FILE_BYTES_MAX)
    finding = read(ConnectionFile(state))
    assert isinstance(finding, Finding)
    assert str(path) in finding.evidence
