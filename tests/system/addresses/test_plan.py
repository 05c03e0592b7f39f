"""What is added and removed, from looks that are written down: no kernel."""

from __future__ import annotations

from reconciler.core.facts.ownership import Owner
from reconciler.system.addresses.plan import (
    ALIAS,
    LAST_RESORT,
    PLACES_MAX,
    AddAddress,
    AddressPlace,
    AddRoute,
    MakeLink,
    RaiseLink,
    RemoveAddress,
    RemoveLink,
    RemoveRoute,
    plan,
    virtual_mac,
)
from reconciler.system.addresses.snapshot import AddressSeen, LinkSeen, NetworkSnapshot, RouteSeen, renamed

V4, V6 = AddressPlace(2, "10.0.0.10/24", 20), AddressPlace(2, "fd00:0::10/64", 21)


def link(index: int, name: str, mac: str = "02:00:00:00:00:01", *, up: bool = True, kind: str = "", alias: str = ""):
    return LinkSeen(index, name, mac, mac, up, up, "up" if up else "down", kind, 2 if kind else 0, alias)


def snapshot(*addresses: AddressSeen, routes: tuple[RouteSeen, ...] = (), up: bool = True, more=()) -> NetworkSnapshot:
    links = (link(1, "lo", ""), link(2, "eth0", up=up), link(3, "eth1", "02:00:00:00:00:02"), *more)
    return NetworkSnapshot({seen.index: seen for seen in links}, addresses, routes)


def ours(index: int, address: str, **more) -> AddressSeen:
    return AddressSeen(index, address, 128 if ":" in address else 32, Owner.WATCHDOG, **more)


ROUTES = (RouteSeen(2, "10.0.0.0/24", LAST_RESORT), RouteSeen(2, "fd00::/64", LAST_RESORT))


def test_what_is_missing_is_added_addresses_before_routes() -> None:
    made = plan(snapshot(), [V4, V6])
    assert made.actions == (
        AddAddress(2, "10.0.0.10"), AddAddress(2, "fd00::10"), AddRoute(2, "10.0.0.0/24"), AddRoute(2, "fd00::/64"),
    )  # fmt: skip
    assert made.present == ()


def test_what_is_there_is_left() -> None:
    made = plan(snapshot(ours(2, "10.0.0.10"), ours(2, "fd00::10"), routes=ROUTES), [V4, V6])
    assert made.actions == ()
    assert made.present == (V4, V6)
    assert made.problems == ()


def test_what_is_stamped_and_not_wanted_goes_and_nothing_else() -> None:
    mine, wrong = ours(2, "10.0.0.10"), ours(3, "10.9.9.9")
    others = [AddressSeen(2, "10.0.0.1", 24, owner) for owner in (Owner.AGENT, Owner.FOREIGN, Owner.KERNEL)]
    made = plan(snapshot(mine, wrong, *others, routes=ROUTES[:1]), [])
    assert made.actions == (RemoveAddress(mine), RemoveAddress(wrong), RemoveRoute(2, "10.0.0.0/24", LAST_RESORT))


def test_one_on_the_wrong_interface_is_removed_before_it_is_added() -> None:
    wrong = ours(3, "10.0.0.10")
    assert plan(snapshot(wrong), [V4]).actions[:2] == (RemoveAddress(wrong), AddAddress(2, "10.0.0.10"))


def test_an_address_of_another_hand_is_told_and_counts_as_there() -> None:
    made = plan(snapshot(AddressSeen(2, "10.0.0.10", 24, Owner.AGENT), routes=ROUTES[:1]), [V4])
    assert made.actions == ()
    assert made.present == (V4,)
    assert [problem.where for problem in made.problems] == ["10.0.0.10"]
    assert "ip address delete 10.0.0.10/24 dev eth0" in made.problems[0].what


def test_one_that_failed_detection_is_tried_again() -> None:
    failed = ours(2, "fd00::10", failed=True)
    made = plan(snapshot(failed, routes=ROUTES[1:]), [V6])
    assert made.actions == (RemoveAddress(failed), AddAddress(2, "fd00::10"))
    assert made.present == ()


def test_an_interface_that_is_gone_is_a_problem() -> None:
    made = plan(snapshot(), [AddressPlace(9, "10.0.0.10/24")])
    assert made.actions == ()
    assert [problem.where for problem in made.problems] == ["10.0.0.10/24"]


def test_a_link_that_is_down_takes_addresses_and_no_routes() -> None:
    assert plan(snapshot(up=False), [V4]).actions == (AddAddress(2, "10.0.0.10"),)


def test_a_host_prefix_needs_no_route() -> None:
    assert plan(snapshot(), [AddressPlace(2, "10.0.0.10/32"), AddressPlace(2, "fd00::10/128")]).actions == (
        AddAddress(2, "10.0.0.10"), AddAddress(2, "fd00::10"),
    )  # fmt: skip


def test_a_virtual_mac_comes_first_and_its_address_with_the_next_look() -> None:
    assert plan(snapshot(), [V4], on_virtual_mac=True).actions == (MakeLink(2, 20), AddRoute(2, "10.0.0.0/24"))
    down = link(4, "hgv20i2", virtual_mac(20), up=False, kind="macvlan")
    made = plan(snapshot(routes=ROUTES[:1], more=[down]), [V4], on_virtual_mac=True)
    assert made.actions == (RaiseLink(4), AddAddress(4, "10.0.0.10"))
    up = link(4, "renamed", virtual_mac(20), kind="macvlan", alias=ALIAS)
    made = plan(snapshot(ours(4, "10.0.0.10"), routes=ROUTES[:1], more=[up]), [V4], on_virtual_mac=True)
    assert (made.actions, made.present) == ((), (V4,))


def test_a_macvlan_of_ours_goes_and_another_hands_stays() -> None:
    mine = link(4, "hgv20i2", virtual_mac(20), kind="macvlan", alias=ALIAS)
    theirs = link(5, "vrrp4", virtual_mac(20), kind="macvlan", alias="keepalived")
    assert plan(snapshot(more=[mine, theirs]), []).actions == (RemoveLink(4, "hgv20i2"),)


def test_two_addresses_of_one_vhid_share_its_macvlan() -> None:
    twin = AddressPlace(2, "10.0.0.11/24", 20)
    assert plan(snapshot(), [V4, twin], on_virtual_mac=True).actions == (MakeLink(2, 20), AddRoute(2, "10.0.0.0/24"))


def test_more_than_the_limit_are_refused_one_by_one() -> None:
    places = [AddressPlace(2, f"10.{at // 200}.{at % 200}.10/32") for at in range(PLACES_MAX + 3)]
    made = plan(snapshot(), places)
    assert len(made.actions) == PLACES_MAX
    assert len(made.problems) == 3


def test_a_new_name_is_seen() -> None:
    before, after = snapshot(), snapshot(more=[link(2, "storage")])
    assert renamed(before, after) == ((2, "eth0", "storage"),)
    assert renamed(before, before) == ()
