"""Tickles: their bytes, their pace, and from where they leave."""

import socket
import subprocess
import time
from pathlib import Path

import pytest

from reconciler.system.findings import Finding
from reconciler.system.shares.clients.connections import ClientConnection
from reconciler.system.shares.clients.tickle import tickle, tickle_packet
from tests.system.network.namespaces import in_namespace, ip

HOSTS = {"10.0.0.10": "10.0.0.9", "fd00::10": "fd00::9"}


def test_a_decoder_finds_right_checksums_and_an_acknowledgment_of_nothing(tmp_path: Path) -> None:
    packets = [tickle_packet(ClientConnection(here, 2_049, there, 812)) for here, there in HOSTS.items()]
    dump = tmp_path / "packets"
    dump.write_text("".join(f"0 {packet.hex(' ')}\n" for packet in packets))
    capture = tmp_path / "packets.pcap"
    subprocess.run(["text2pcap", "-q", "-l", "101", dump, capture], check=True, capture_output=True)
    fields = ["ip.addr", "ipv6.addr", "tcp.srcport", "tcp.dstport", "tcp.flags.str", "tcp.seq_raw", "tcp.ack_raw",
              "tcp.len", "tcp.checksum.status"]  # fmt: skip
    line = ["tshark", "-r", str(capture), "-o", "tcp.check_checksum:TRUE", "-T", "fields", "-E", "separator=|"]
    said = subprocess.run(
        [*line, *(word for field in fields for word in ("-e", field))], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split("|") for line in said.splitlines()] == [
        ["10.0.0.10,10.0.0.9", "", "2049", "812", "·······A····", "0", "0", "0", "1"],
        ["", "fd00::10,fd00::9", "2049", "812", "·······A····", "0", "0", "0", "1"],
    ]


def test_nothing_to_tickle_takes_no_time() -> None:
    began_s = time.monotonic()
    assert tickle(()) == 0
    assert time.monotonic() - began_s < 0.1


def test_all_are_sent_three_times_within_two_seconds() -> None:
    def run() -> None:
        addresses = [address for pair in HOSTS.items() for address in pair]
        ip("link set lo up", *(f"address add {address} dev lo" for address in addresses))
        connections = [
            ClientConnection(here, 2_049, there, port) for here, there in HOSTS.items() for port in range(1, 2_049)
        ]
        before = received()
        began_s = time.monotonic()
        assert tickle(connections) == 4_096
        assert 0.5 <= time.monotonic() - began_s < 4
        assert received() - before >= 3 * 4_096

    def received() -> int:
        lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
        names, numbers = [line.split() for line in lines if line.startswith("Tcp:")]
        return int(numbers[names.index("InSegs")])

    in_namespace(run)


@pytest.mark.parametrize("host", HOSTS)
def test_none_leaves_from_an_address_that_is_not_here(host: str) -> None:
    def run() -> None:
        ip("link set lo up", f"address add {HOSTS[host]} dev lo")
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as sniffer:
            sniffer.bind(("lo", 3))
            sniffer.setblocking(False)
            finding = tickle([ClientConnection(host, 2_049, HOSTS[host], 812)])
            assert isinstance(finding, Finding)
            assert finding.code == "clients-untickled"
            assert f"to {HOSTS[host]} from {host}" in finding.evidence
            with pytest.raises(BlockingIOError):
                sniffer.recv(100)

    in_namespace(run)
