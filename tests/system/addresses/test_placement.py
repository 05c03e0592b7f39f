"""Virtual addresses on a real segment: they answer at once, come back, and go without a trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.core.failover.orders.orders import Device, DeviceKey
from tests.system.addresses.segment import (
    Segment,
    addresses_of,
    ip,
    is_placed,
    mac_of,
    now_ms,
    placed,
    placing,
    run_until,
    setting,
)

V4, V6 = "10.0.0.10/24", "fd00::10/64"


@pytest.mark.parametrize("address", [V4, V6])
def test_a_client_follows_at_once(segment: Segment, tmp_path: Path, address: str) -> None:
    host = address.partition("/")[0]
    segment.peer.ip(f"address add {address} dev e0" + (" nodad" if ":" in address else ""))
    client = segment.client
    assert client.pings(host)
    old = client.neighbour(host)
    assert old
    segment.peer.ip("link set e0 down")
    with placing(tmp_path, address) as placement:
        run_until(placement, lambda: client.neighbour(host) == mac_of("e0"))
        assert old != mac_of("e0")
        assert client.pings(host)


def test_all_is_taken_away_again(segment: Segment, tmp_path: Path) -> None:
    before = addresses_of("e0")
    with placing(tmp_path, V4, V6) as placement:
        run_until(placement, is_placed(placement))
        assert addresses_of("e0") - before == {"10.0.0.10/32", "fd00::10/128"}
        placement.want(False)
        run_until(placement, lambda: not placed(placement).present)
        assert addresses_of("e0") == before
        routes = subprocess.run(["ip", "route", "show", "proto", "73"], capture_output=True, text=True).stdout
        assert routes == ""


@pytest.mark.parametrize("address", [V4, V6])
def test_an_address_deleted_by_hand_comes_back(segment: Segment, tmp_path: Path, address: str) -> None:
    host = address.partition("/")[0]
    with placing(tmp_path, address) as placement:
        run_until(placement, is_placed(placement))
        looks = placed(placement).looks
        ip(f"address del {host} dev e0")
        assert not any(seen.startswith(f"{host}/") for seen in addresses_of("e0"))
        # Told by an event: sooner than the look that comes every five seconds anyhow.
        run_until(placement, lambda: any(seen.startswith(f"{host}/") for seen in addresses_of("e0")), wait_s=4)
        assert placed(placement).looks > looks
        assert segment.client.pings(host)


def test_only_what_carries_the_stamp_is_removed(segment: Segment, tmp_path: Path) -> None:
    ip("address add 10.0.0.10/24 dev e0")
    with placing(tmp_path, V4) as placement:
        run_until(placement, lambda: placed(placement).present == ("10.0.0.10",))
        (problem,) = placed(placement).problems
        assert problem.where == "10.0.0.10"
        assert "without the watchdog's stamp" in problem.what
        placement.want(False)
        run_until(placement, lambda: not placed(placement).present)
        assert "10.0.0.10/24" in addresses_of("e0")


@pytest.mark.parametrize("address", [V4, V6])
def test_one_that_is_here_without_the_stamp_while_not_wanted_is_told_and_stays(
    segment: Segment, tmp_path: Path, address: str
) -> None:
    """A person, or another manager, put it on the standby: clients may be answered from there."""
    host, prefix = address.split("/")
    ip(f"address add {address} dev e0" + (" nodad" if ":" in address else ""))
    with placing(tmp_path, address) as placement:
        run_until(placement, lambda: placed(placement).present == (host,))
        assert placed(placement).strays == ()
        placement.want(False)
        placement.step(now_ms())
        (stray,) = placed(placement).strays
        assert (stray.host, stray.prefix, stray.link) == (host, int(prefix), "e0")
        assert f"ip address delete {address} dev e0" in stray.problem().remedy
        assert "not the active one" in stray.problem().what
        placement.want(None)
        placement.step(now_ms())
        assert placed(placement).strays == ()


def test_it_is_never_the_source_of_what_this_controller_begins(segment: Segment, tmp_path: Path) -> None:
    ip("address flush dev e0")
    with placing(tmp_path, V4, V6) as placement:
        run_until(placement, is_placed(placement))
        # Placed first, and alone: it answers over the route of last resort.
        assert segment.client.pings("10.0.0.10")
        assert segment.client.pings("fd00::10")
        ip("address add 10.0.0.1/24 dev e0", "address add fd00::1/64 dev e0 nodad")
        for target, source in (("10.0.0.9", "10.0.0.1"), ("fd00::9", "fd00::1")):
            said = subprocess.run(["ip", "route", "get", target], capture_output=True, text=True).stdout.split()
            assert said[said.index("src") + 1] == source
        ip("address del 10.0.0.1/24 dev e0")
        run_until(placement, is_placed(placement))
        assert segment.client.pings("10.0.0.10")


def test_an_interface_that_is_renamed_keeps_its_addresses(segment: Segment, tmp_path: Path) -> None:
    device = Device("storage0", DeviceKey.MAC, mac_of("e0").upper())
    with placing(tmp_path, V4, V6, interface="storage0", devices=(device,)) as placement:
        run_until(placement, is_placed(placement))
        ip("link set e0 down", "link set e0 name eth7", "link set eth7 up")
        run_until(placement, lambda: is_placed(placement)() and placed(placement).interfaces["storage0"] is not None)
        run_until(placement, lambda: {"10.0.0.10/32", "fd00::10/128"} <= addresses_of("eth7"))
        assert setting("eth7", "arp_ignore") == 1


def test_an_interface_that_is_gone_is_told_and_its_return_is_used(segment: Segment, tmp_path: Path) -> None:
    with placing(tmp_path, V4) as placement:
        run_until(placement, is_placed(placement))
        ip("link del e0")
        run_until(placement, lambda: placed(placement).present == ())
        assert [problem.where for problem in placed(placement).problems] == [V4]
        assert placed(placement).interfaces == {"e0": None}
        segment.plug_in("e0", "again")
        run_until(placement, is_placed(placement))
        ip("address add 10.0.0.1/24 dev e0")
        run_until(placement, lambda: segment.client.pings("10.0.0.10"))


def test_an_ipv6_address_survives_a_link_that_goes_down(segment: Segment, tmp_path: Path) -> None:
    with placing(tmp_path, V6) as placement:
        run_until(placement, is_placed(placement))
        ip("link set e0 down")
        ip("link set e0 up")
        run_until(placement, lambda: is_placed(placement)() and "fd00::10/128" in addresses_of("e0"))
        run_until(placement, lambda: segment.client.pings("fd00::10"))


def test_ipv6_switched_off_is_a_problem_and_no_error(segment: Segment, tmp_path: Path) -> None:
    Path("/proc/sys/net/ipv6/conf/e0/disable_ipv6").write_text("1")
    with placing(tmp_path, V4, V6) as placement:
        run_until(placement, lambda: placed(placement).present == ("10.0.0.10",))
        assert any(problem.where == "fd00::10 on e0" for problem in placed(placement).problems)


def test_what_a_daemon_left_that_died_is_taken_away_by_the_next(segment: Segment, tmp_path: Path) -> None:
    with placing(tmp_path, V4, V6, on_virtual_mac=True) as placement:
        run_until(placement, is_placed(placement))
    assert "00:00:5e:00:01:14" in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout
    with placing(tmp_path, want=False) as placement:
        run_until(placement, lambda: not macvlans())
        said = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True).stdout
        assert "10.0.0.10" not in said
        assert "fd00::10" not in said
        assert placed(placement).problems == ()


@pytest.mark.parametrize("address", [V4, V6])
def test_the_virtual_mac_answers_and_stays_the_same(segment: Segment, tmp_path: Path, address: str) -> None:
    host = address.partition("/")[0]
    client = segment.client
    with placing(tmp_path, address, on_virtual_mac=True) as placement:
        run_until(placement, is_placed(placement))
        assert client.pings(host)
        assert client.neighbour(host) == "00:00:5e:00:01:14"
        # The interface keeps its own MAC for its own address.
        assert client.pings("10.0.0.1")
        assert client.neighbour("10.0.0.1") == mac_of("e0")
        client.ip("neigh flush dev e0")
        assert client.pings(host)
        assert client.neighbour(host) == "00:00:5e:00:01:14"


def test_the_virtual_mac_answers_where_return_paths_are_checked(segment: Segment, tmp_path: Path) -> None:
    """With rp_filter 1 a packet that came in over the macvlan and would be answered over the interface is dropped."""
    for name in ("all", "default", "e0"):
        Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("1")
    with placing(tmp_path, V4, on_virtual_mac=True) as placement:
        run_until(placement, is_placed(placement))
        assert segment.client.pings("10.0.0.10")


def test_many_come_and_go_at_once(segment: Segment, tmp_path: Path) -> None:
    many = [f"10.0.0.{at}/24" for at in range(10, 110)]
    with placing(tmp_path, *many) as placement:
        run_until(placement, is_placed(placement))
        assert segment.client.pings("10.0.0.109")
        placement.want(False)
        run_until(placement, lambda: not placed(placement).present)
        assert addresses_of("e0") & {f"10.0.0.{at}/32" for at in range(10, 110)} == set()


def test_what_may_not_be_touched_stays_and_is_not_announced(segment: Segment, tmp_path: Path) -> None:
    with placing(tmp_path, V4, V6) as placement:
        run_until(placement, is_placed(placement))
        ip("address del 10.0.0.10 dev e0")
        placement.want(None)
        placement.step(0)
        assert placed(placement).present == ("fd00::10",)
        assert {"fd00::10/128"} == addresses_of("e0") & {"10.0.0.10/32", "fd00::10/128"}
        assert placement.announcer.next_ms() is None
        placement.want(True)
        run_until(placement, is_placed(placement))
        assert placement.announcer.next_ms() is not None


def macvlans() -> list[str]:
    said = subprocess.run(["ip", "-o", "link", "show", "type", "macvlan"], capture_output=True, text=True).stdout
    return [line.split(": ")[1].partition("@")[0] for line in said.splitlines()]


def test_the_addresses_go_at_once_and_their_macvlans_one_by_one(segment: Segment, tmp_path: Path) -> None:
    """Each of them would keep the loop waiting, and nobody waits for them."""
    with placing(tmp_path, *(f"10.0.0.{at}/24" for at in range(10, 14)), on_virtual_mac=True) as placement:
        run_until(placement, is_placed(placement))
        assert len(macvlans()) == 4
        placement.want(False)
        placement.step(0)
        said = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True).stdout
        assert "10.0.0.1/24" in said
        assert "/32" not in said
        assert len(macvlans()) == 3
        run_until(placement, lambda: not macvlans())


def test_a_macvlan_deleted_by_hand_comes_back(segment: Segment, tmp_path: Path) -> None:
    with placing(tmp_path, V4, V6, on_virtual_mac=True) as placement:
        run_until(placement, is_placed(placement))
        first, second = macvlans()
        ip(f"link del {first}")
        assert macvlans() == [second]
        run_until(placement, lambda: is_placed(placement)() and sorted(macvlans()) == sorted([first, second]))
        assert segment.client.pings("10.0.0.10")
        assert segment.client.pings("fd00::10")


def test_a_virtual_mac_that_is_no_longer_wanted_moves_the_address_to_the_interface(
    segment: Segment, tmp_path: Path
) -> None:
    with placing(tmp_path, V4, on_virtual_mac=True) as placement:
        run_until(placement, is_placed(placement))
        assert segment.client.pings("10.0.0.10")
        assert segment.client.neighbour("10.0.0.10") == "00:00:5e:00:01:14"
    with placing(tmp_path, V4) as placement:
        run_until(placement, lambda: is_placed(placement)() and "10.0.0.10/32" in addresses_of("e0"))
        run_until(placement, lambda: segment.client.neighbour("10.0.0.10") == mac_of("e0"))
        assert segment.client.pings("10.0.0.10")


def test_bad_orders_are_problems(segment: Segment, tmp_path: Path) -> None:
    with placing(tmp_path, V4, "10.0.0.300/24", "nonsense") as placement:
        run_until(placement, lambda: placed(placement).present == ("10.0.0.10",))
        assert [problem.where for problem in placed(placement).problems] == ["10.0.0.300/24", "nonsense"]


def test_it_needs_no_heavy_package() -> None:
    """The watchdog imports this: nothing of it may bring pyroute2, pydantic or their kin."""
    code = (
        "import sys, reconciler.system.addresses.placement\n"
        "heavy = {'pyroute2', 'pydantic', 'ruamel', 'pygit2', 'typer', 'ctypes', 'asyncio', 'tempfile'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True).stdout
    assert said.strip() == "[]"
