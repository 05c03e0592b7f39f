"""Two controllers hand their addresses to one another; the client follows every time."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from reconciler.core.failover.orders.orders import VirtualAddress
from reconciler.system.addresses.placement import AddressPlacement, Placed
from tests.system.addresses.segment import Segment, is_placed, mac_of, now_ms, placed, placing, run_until

HOSTS = ("10.0.0.10", "fd00::10")
ORDERED = tuple(f"{host}/{prefix}" for host, prefix in zip(HOSTS, (24, 64), strict=True))


class Peer:
    """A placement in the peer's room, stepped when told."""

    def __init__(self, segment: Segment, run: Path, *, on_virtual_mac: bool) -> None:
        self._room = segment.peer
        self._placement = self._room.inside(lambda: AddressPlacement(run))
        addresses = [VirtualAddress("e0", address, 20 + at) for at, address in enumerate(ORDERED)]
        self._placement.follow(addresses, (), on_virtual_mac=on_virtual_mac)

    def want(self, wanted: bool) -> Placed:
        """What is placed there after one step."""

        def run() -> Placed:
            self._placement.want(wanted)
            self._placement.step(now_ms())
            return self._placement.placed(now_ms())

        return self._room.inside(run)

    def close(self) -> None:
        self._placement.close(restore=False)


@pytest.mark.parametrize("on_virtual_mac", [False, True])
def test_back_and_forth(segment: Segment, tmp_path: Path, on_virtual_mac: bool) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    client = segment.client
    with (
        closing(Peer(segment, tmp_path / "there", on_virtual_mac=on_virtual_mac)) as peer,
        placing(tmp_path / "here", *ORDERED, on_virtual_mac=on_virtual_mac, want=False) as here,
    ):
        for _ in range(3):
            # One step each is all it takes.
            assert peer.want(True).present == HOSTS
            assert all(client.pings(host) for host in HOSTS)
            there = [client.neighbour(host) for host in HOSTS]
            assert peer.want(False).present == ()
            here.want(True)
            here.step(now_ms())
            assert set(placed(here).present) == set(HOSTS)
            run_until(here, is_placed(here))
            assert all(client.pings(host) for host in HOSTS)
            now = [client.neighbour(host) for host in HOSTS]
            if on_virtual_mac:
                assert now == there == ["00:00:5e:00:01:14", "00:00:5e:00:01:15"]
            else:
                assert now == [mac_of("e0")] * 2
                assert mac_of("e0") not in there
            assert placed(here).duplicates == ()
            here.want(False)
            here.step(now_ms())
            assert placed(here).present == ()


def test_both_at_once_are_told_on_both_sides(segment: Segment, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    with (
        closing(Peer(segment, tmp_path / "there", on_virtual_mac=False)) as peer,
        placing(tmp_path / "here", *ORDERED) as here,
    ):
        assert peer.want(True).present == HOSTS
        run_until(here, lambda: {seen.address for seen in placed(here).duplicates} == set(HOSTS))
        seen = peer.want(True).duplicates
        assert {(duplicate.address, duplicate.mac) for duplicate in seen} == {(host, mac_of("e0")) for host in HOSTS}
