"""The packets as tshark reads them, and everything that is no such packet."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.system.addresses.frame import announcements, probe, read_advertisement, read_arp

MAC = "02:00:00:00:00:07"
ETHERNET = 14
IPV6 = 40


def decoded(tmp_path: Path, frames: tuple[bytes, ...], *fields: str) -> list[list[str]]:
    """The fields that tshark finds in each frame; the last one is its complaint, if any."""
    capture = tmp_path / "frames.pcap"
    packets = b"".join(struct.pack("=IIII", 1, 0, len(frame), len(frame)) + frame for frame in frames)
    capture.write_bytes(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + packets)
    command = ["tshark", "-r", str(capture), "-T", "fields"]
    for field in (*fields, "_ws.malformed"):
        command += ["-e", field]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [line.split("\t") for line in said.splitlines()]


def test_arp_announcements(tmp_path: Path) -> None:
    fields = ("eth.dst", "eth.src", "arp.opcode", "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.hw_mac",
              "arp.dst.proto_ipv4", "arp.isgratuitous", "arp.isannouncement")  # fmt: skip
    request, reply = decoded(tmp_path, announcements("10.0.0.10", MAC), *fields)
    everybody, nobody = "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"
    assert request[:7] == [everybody, MAC, "1", MAC, "10.0.0.10", nobody, "10.0.0.10"]
    assert reply[:7] == [everybody, MAC, "2", MAC, "10.0.0.10", MAC, "10.0.0.10"]
    assert (request[7], reply[7]) == ("1", "1")
    assert (request[-1], reply[-1]) == ("", "")


def test_an_arp_probe_claims_nothing(tmp_path: Path) -> None:
    fields = ("arp.opcode", "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.proto_ipv4", "arp.isprobe")
    (line,) = decoded(tmp_path, (probe("10.0.0.10", MAC),), *fields)
    assert line == ["1", MAC, "0.0.0.0", "10.0.0.10", "1", ""]


def test_a_neighbour_advertisement(tmp_path: Path) -> None:
    fields = ("eth.dst", "ipv6.src", "ipv6.dst", "ipv6.hlim", "icmpv6.type", "icmpv6.checksum.status",
              "icmpv6.nd.na.flag.o", "icmpv6.nd.na.flag.s", "icmpv6.nd.na.flag.r", "icmpv6.nd.na.target_address",
              "icmpv6.opt.linkaddr")  # fmt: skip
    (line,) = decoded(tmp_path, announcements("fd00::10", MAC), *fields)
    expected = ["33:33:00:00:00:01", "fd00::10", "ff02::1", "255", "136", "1", "1", "0", "0", "fd00::10", MAC, ""]
    assert line == expected


def test_a_neighbour_probe(tmp_path: Path) -> None:
    fields = ("eth.dst", "ipv6.src", "ipv6.dst", "ipv6.hlim", "icmpv6.type", "icmpv6.checksum.status",
              "icmpv6.nd.ns.target_address")  # fmt: skip
    (line,) = decoded(tmp_path, (probe("fd00::abcd:1234", MAC),), *fields)
    assert line == ["33:33:ff:cd:12:34", "::", "ff02::1:ffcd:1234", "255", "135", "1", "fd00::abcd:1234", ""]


def test_what_is_sent_reads_back() -> None:
    for frame in announcements("10.0.0.10", MAC):
        assert read_arp(frame[ETHERNET:]) == ("10.0.0.10", MAC)
    (frame,) = announcements("fd00::10", MAC)
    assert read_advertisement(frame[ETHERNET + IPV6 :]) == ("fd00::10", MAC)
    assert read_arp(probe("10.0.0.10", MAC)[ETHERNET:]) is None
    assert read_advertisement(probe("fd00::10", MAC)[ETHERNET + IPV6 :]) is None


@pytest.mark.parametrize(("address", "mac"), [("10.0.0.300", MAC), ("fd00::10", "02:00"), ("", MAC), ("fd00::1", "")])
def test_what_cannot_be_sent_is_a_value_error(address: str, mac: str) -> None:
    with pytest.raises(ValueError):
        announcements(address, mac)
    with pytest.raises(ValueError):
        probe(address, mac)


def test_a_prefix_of_a_packet_says_nothing_wrong() -> None:
    arp = announcements("10.0.0.10", MAC)[0][ETHERNET:]
    advertisement = announcements("fd00::10", MAC)[0][ETHERNET + IPV6 :]
    for length in range(len(arp)):
        assert read_arp(arp[:length]) is None
    for length in range(len(advertisement)):
        assert read_advertisement(advertisement[:length]) is None


@given(st.binary(max_size=80))
def test_any_bytes_can_be_read(data: bytes) -> None:
    assert read_arp(data) is None or data[:6] == b"\0\1\x08\0\6\4"
    assert read_advertisement(b"\x88\0" + data) is None or len(data) >= 30
