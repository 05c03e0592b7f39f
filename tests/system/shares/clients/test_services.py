"""Where clients find the shares."""

from reconciler.core.shares.shares import IscsiServer, IscsiTarget, NfsServer, Shares
from reconciler.system.shares.clients.services import ServicePoints, service_points

TARGET = IscsiTarget("disk", "iqn.2026-01.org.example:disk", ("10.0.0.11", "FD00::0010"), (), ())


def test_each_protocol_adds_its_addresses_and_ports() -> None:
    shares = Shares("pair", nfs=NfsServer(("10.0.0.10", "fd00::10")))
    assert service_points(shares) == ServicePoints(("10.0.0.10", "fd00::10"), (2_049,))
    shares = Shares("pair", nfs=NfsServer(("10.0.0.9",), versions=("3", "4.2")))
    assert service_points(shares, (32_803,)) == ServicePoints(("10.0.0.9",), (111, 2_049, 20_048, 32_803))
    shares = Shares("pair", iscsi=IscsiServer(port=860), targets=(TARGET,))
    assert service_points(shares) == ServicePoints(("10.0.0.11", "fd00::10"), (860,))


def test_without_shares_there_is_nothing_to_guard() -> None:
    assert not service_points(Shares("pair"))


def test_what_is_no_address_or_port_is_left_out() -> None:
    shares = Shares("pair", nfs=NfsServer(("x", "10.0.0.10/24", "10.0.0.10")))
    assert service_points(shares, (0, 65_536)) == ServicePoints(("10.0.0.10",), (2_049,))
