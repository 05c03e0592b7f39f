"""The filter drops exactly the service ports of the virtual addresses, both ways, and leaves no trace."""

import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.system.findings import Finding
from reconciler.system.shares.clients.port_filter import TABLE, Dropped, FilterState, PortFilter
from reconciler.system.shares.clients.services import ServicePoints
from tests.system.network.namespaces import in_namespace
from tests.system.shares.clients.segment import HOST4, HOST6, POINTS, AnsweringServer, ClientSegment, Sniffer
from tests.wait import until

HOSTS = [HOST4, HOST6]
SILENT_S = 0.4


def reach(segment: ClientSegment, host: str, port: int) -> str:
    """How the connection of the client to a port ends."""

    def connect() -> str:
        try:
            socket.create_connection((host, port), SILENT_S).close()
        except TimeoutError:
            return "silent"
        except ConnectionRefusedError:
            return "refused"
        return "open"

    return segment.client.inside(connect)


def test_only_the_services_of_the_virtual_addresses_are_silent(segment: ClientSegment) -> None:
    segment.a.place()
    ports = (2_049, 3_260, 22)
    own = ("10.0.0.1", "fd00::1")
    servers = [AnsweringServer(segment.a, port) for port in ports]
    try:
        assert {reach(segment, host, port) for host in (*HOSTS, *own) for port in ports} == {"open"}
        assert segment.a.inside(lambda: PortFilter().close(POINTS)) is None
        assert [reach(segment, host, port) for host in HOSTS for port in ports] == ["silent", "silent", "open"] * 2
        assert {reach(segment, host, port) for host in own for port in ports} == {"open"}
        state = segment.a.inside(PortFilter().state)
        assert isinstance(state, FilterState)
        assert (state.dropped, state.points) == (Dropped.ALL, ServicePoints((HOST4, HOST6), (2_049, 3_260)))
        assert state.packets >= 4
        assert segment.a.inside(PortFilter().open) is None
        assert {reach(segment, host, port) for host in HOSTS for port in ports} == {"open"}
    finally:
        for server in servers:
            server.close()


def test_a_port_without_a_listener_says_nothing(segment: ClientSegment) -> None:
    segment.a.place()
    with closing(Sniffer(segment.client)) as sniffer:

        def send_datagrams() -> None:
            for family, host in ((socket.AF_INET, HOST4), (socket.AF_INET6, HOST6)):
                with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
                    datagrams.sendto(b"x", (host, 2_049))

        assert {reach(segment, host, 2_049) for host in HOSTS} == {"refused"}
        segment.client.inside(send_datagrams)
        heard: list[str] = []
        until(lambda: (heard.extend(sniffer.words()), heard.count("icmp") == 2)[1], lambda: heard)
        assert heard.count("RA") == 2
        segment.a.inside(lambda: PortFilter().close(POINTS))
        assert {reach(segment, host, port) for host in HOSTS for port in (2_049, 3_260)} == {"silent"}
        segment.client.inside(send_datagrams)
        assert reach(segment, HOST4, 23) == "refused"
        assert sniffer.words() == ["RA"]


def test_without_outgoing_the_answers_still_leave(segment: ClientSegment) -> None:
    segment.a.place()
    server = AnsweringServer(segment.a, answer_after_s=0.3)
    try:
        with segment.client.inside(lambda: socket.create_connection((HOST4, 2_049), SILENT_S)) as client:
            client.sendall(b"one")
            until(lambda: server.requests == 1)
            segment.a.inside(lambda: PortFilter().close(POINTS, outgoing=False))
            client.settimeout(5)
            assert client.recv(10) == b"one"
            client.sendall(b"two")
            client.settimeout(SILENT_S)
            with pytest.raises(TimeoutError):
                client.recv(10)
            assert server.requests == 1
    finally:
        server.close()


def test_what_an_earlier_life_left_is_replaced_and_other_tables_stay() -> None:
    def run() -> None:
        commands = [
            "add table inet filter",
            f"add table inet {TABLE}",
            f"add chain inet {TABLE} old {{ type filter hook input priority 0; policy drop; }}",
        ]
        subprocess.run(["nft", "-f", "-"], input="\n".join(commands), text=True, check=True)
        port_filter = PortFilter()
        assert port_filter.is_closed()
        for _ in range(2):
            assert port_filter.close(POINTS) is None
            assert port_filter.is_closed()
            state = port_filter.state()
            assert isinstance(state, FilterState)
            assert (state.dropped, state.points) == (Dropped.ALL, POINTS)
        assert b"old" not in subprocess.run(["nft", "list", "ruleset"], capture_output=True, check=True).stdout
        # The check changes nothing.
        assert port_filter.check(ServicePoints((HOST4,), (1,))) is None
        assert port_filter.state() == state
        for _ in range(2):
            assert port_filter.open() is None
            assert not port_filter.is_closed()
            assert port_filter.state() == FilterState(Dropped.NONE, ServicePoints(), 0)
        listed = subprocess.run(["nft", "list", "tables"], capture_output=True, check=True, text=True).stdout
        assert listed.split() == ["table", "inet", "filter"]

    in_namespace(run)


def test_nothing_to_guard_is_an_open_filter() -> None:
    def run() -> None:
        port_filter = PortFilter()
        assert port_filter.close(POINTS) is None
        assert port_filter.close(ServicePoints()) is None
        assert port_filter.state() == FilterState(Dropped.NONE, ServicePoints(), 0)

    in_namespace(run)


def test_a_missing_program_is_named_with_the_package(tmp_path: Path) -> None:
    for finding in (PortFilter(str(tmp_path / "nft")).close(POINTS), PortFilter(str(tmp_path / "nft")).state()):
        assert isinstance(finding, Finding)
        assert finding.code == "port-filter-no-program"
        assert "nft" in finding.evidence
        assert finding.remedy == "apt-get install nftables"


def test_a_refusal_names_the_status_and_the_kernel_option() -> None:
    finding = PortFilter("false").close(POINTS)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.evidence) == ("port-filter-refused", "nft ended with status 1: ")
    assert "CONFIG_NF_TABLES" in finding.remedy


def test_a_table_that_hagit_does_not_know_is_a_finding() -> None:
    def run() -> None:
        subprocess.run(["nft", "add", "table", "inet", TABLE], check=True)
        state = PortFilter().state()
        assert isinstance(state, Finding)
        assert state.code == "port-filter-unknown"

    in_namespace(run)
