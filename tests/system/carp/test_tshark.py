"""What hagit puts on the wire, as Wireshark sees it: CARP with a good checksum, and nothing to complain about.

CARP and VRRP share the protocol number, and tshark takes it for VRRP unless it is told.
"""

from __future__ import annotations

import json
import struct
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from reconciler.core.failover.carp.advertisement import Advertisement, carp_key, encode_advertisement
from reconciler.system.carp import CarpSocket, Family
from tests.system.carp.segment import Segment

ADVERTISEMENTS = [Advertisement(7, 1, 0, 1), Advertisement(7, 0, 254, 2**64 - 1), Advertisement(7, 255, 255, 2**40)]
ETHERNET = 1


@pytest.mark.parametrize("family", Family, ids=lambda family: family.name)
def test_it_is_carp_without_complaint(segment: Segment, family: Family, tmp_path: Path) -> None:
    segment.up(ipv6=True)
    wire = segment.wire(segment.b)
    index = segment.index(segment.a)
    carp = segment.within(segment.a, lambda: CarpSocket(family, index))
    key = carp_key(b"geheim", 7, ["10.9.0.100/24", "fd00::100/64"])
    source = IPv4Address("10.9.0.1") if family is Family.IPV4 else None
    frames = []
    for advertisement in ADVERTISEMENTS:
        data = encode_advertisement(advertisement, key)
        assert carp.send(data, source) is None
        while not (frame := wire.recv(2_048)).endswith(data):
            pass
        frames.append(frame)
    carp.close()
    for packet, advertisement in zip(decoded(frames, tmp_path), ADVERTISEMENTS, strict=True):
        layers = packet["_source"]["layers"]
        found = layers["carp"]
        assert found["carp.checksum.status"] == "1"
        assert found["carp.vhid"] == "7" and found["carp.authlen"] == "7"
        assert int(found["carp.adver_int"]) == advertisement.advbase
        assert int(found["carp.advskew"]) == advertisement.advskew
        assert int(found["carp.counter"]) == advertisement.counter
        text = json.dumps(packet)
        assert "_ws.expert" not in text and "malformed" not in text.lower()
        if family is Family.IPV4:
            assert layers["ip"]["ip.checksum.status"] == "1"


def test_a_bad_checksum_would_be_seen(tmp_path: Path) -> None:
    """The assertions above can fail: the same with one bit flipped."""
    data = bytearray(encode_advertisement(ADVERTISEMENTS[0], carp_key(b"geheim", 7, ["10.9.0.100"])))
    data[9] ^= 1
    header = bytes.fromhex("60000000002470ff") + bytes.fromhex("fe80") + bytes(14) + bytes.fromhex("ff02") + bytes(14)
    frame = bytes(12) + b"\x86\xdd" + header + bytes(data)
    (packet,) = decoded([frame], tmp_path)
    assert packet["_source"]["layers"]["carp"]["carp.checksum.status"] == "0"
    assert "_ws.expert" in json.dumps(packet)


def decoded(frames: list[bytes], tmp_path: Path) -> list[dict]:
    """Through a file of pcap(5), with the checksum of IPv4 looked at too."""
    capture = tmp_path / "carp.pcap"
    records = [struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame for frame in frames]
    capture.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, ETHERNET) + b"".join(records))
    command = ["tshark", "-r", capture, "-d", "ip.proto==112,carp", "-o", "ip.check_checksum:TRUE", "-T", "json"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)
