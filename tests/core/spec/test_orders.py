"""Orders from a configuration: disks, channels, timers and limits, the same on both controllers."""

from pathlib import Path

import pytest

from reconciler.core.failover.orders.document import decode_orders, orders_document, orders_key
from reconciler.core.failover.orders.orders import (
    Carp,
    Channel,
    ChannelKind,
    Device,
    DeviceKey,
    Group,
    Limits,
    Orders,
    Timers,
    Vdev,
    VirtualAddress,
    digest,
    shelf_digest,
)
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.reservations.key import Side
from reconciler.core.spec import Configuration, load
from reconciler.core.spec.orders import fails_over, orders_of
from reconciler.errors import ConfigurationError

EXAMPLES = Path(__file__).parent.parent.parent.parent / "examples"
NAMES = ("minimal-pair", "everything", "bonds-vlans-jumbo", "nfs-and-iscsi")


def configuration(name: str, *, without: tuple[str, ...] = ()) -> Configuration:
    tree = {path.name: path.read_bytes() for path in (EXAMPLES / name).glob("*.yaml") if path.stem not in without}
    return load(tree)


def orders(name: str, controller: str = "a") -> Orders:
    return orders_of(configuration(name), controller)


def test_channels_groups_and_addresses() -> None:
    told = orders("everything")
    assert told.channels == (
        Channel("clients", ChannelKind.CARP),
        Channel("storage.20", ChannelKind.CARP),
        Channel("interlink"),
    )
    assert told.groups == (Group(1, ("clients",)), Group(2, ("storage.20",)))
    assert told.addresses == (
        VirtualAddress("clients", "10.0.0.10/24", 20),
        VirtualAddress("clients", "fd00:10::10/64", 20),
        VirtualAddress("storage.20", "10.20.0.10/24", 21),
    )


def test_how_each_controller_finds_its_own_nics() -> None:
    assert orders("everything", "b").devices == (
        Device("clients", DeviceKey.MAC, "02:00:00:00:0b:01"),
        Device("storage.20", DeviceKey.NAME, "storage.20"),
        Device("interlink", DeviceKey.NAME, "eth9"),
    )
    assert Device("interlink", DeviceKey.PATH, "pci-0000:5e:00.0") in orders("bonds-vlans-jumbo").devices


def test_disks_stand_in_one_order_and_every_top_level_vdev_is_known() -> None:
    told = orders("everything")
    assert told.disks[:2] == ("ata-ST4000NM0035_ZC1A0001", "ata-ST4000NM0035_ZC1A0002"), "pools by name"
    assert len(told.disks) == 2 + 12 + 4 + 2 + 2, "cache and spares are fenced, too"
    assert told.vdevs == (
        Vdev("scratch/disk-0", (0,), 1),
        Vdev("scratch/disk-1", (1,), 1),
        Vdev("tank/raidz2-0", (2, 3, 4, 5, 6, 7), 4),
        Vdev("tank/raidz2-1", (8, 9, 10, 11, 12, 13), 4),
        Vdev("tank/special-2", (14, 15), 1),
        Vdev("tank/log-3", (16, 17), 1),
        Vdev("ultra/mirror-0", (20, 21), 1),
    )
    assert [told.disks[index] for index in told.arbitration] == [
        "wwn-0x5000c500a1b2c301", "wwn-0x5000c500a1b2c30a", "nvme-eui.0025385b71b06d01",
    ]  # fmt: skip


def test_the_names_of_files_change_nothing() -> None:
    text = (EXAMPLES / "everything" / "failover.yaml").read_bytes()
    first, second, third = text.split(b"---\n")
    rest = {path.name: path.read_bytes() for path in (EXAMPLES / "everything").glob("*.yaml")}
    del rest["failover.yaml"]
    shuffled = orders_of(load(rest | {"1.yaml": third, "2.yaml": first, "9.yaml": second}))
    assert shuffled == orders("everything")


def test_timers_limits_and_the_rest() -> None:
    told = orders("everything")
    minutes_ms, expected = 60_000, {"proof_ms": 4_000, "import_ms": 90_000, "release_ms": 10_000, "network_ms": 2_000}
    assert told.timers == Timers(**expected, maintenance_ms=240 * minutes_ms)
    assert told.limits == Limits(3, 3_600_000, 3, 3_600_000)
    assert told.carp == Carp(0, 25, virtual_mac=True)
    assert (told.default, told.enabled, told.strict) == (Side.A, True, True)
    assert orders("bonds-vlans-jumbo").default is Side.B


def test_what_no_key_says_grows_with_what_is_written() -> None:
    tree = {"pair.yaml": (EXAMPLES / "minimal-pair" / "pair.yaml").read_bytes()}
    beat = b"  heartbeat: {diskInterval: 1s, diskStale: 8s, pause: 900ms, silence: 2s}\n"
    tree["pair.yaml"] += beat
    timers = orders_of(load(tree)).timers
    assert (timers.record_ms, timers.look_ms, timers.stale_ms) == (1_000, 1_000, 8_000)
    assert timers.proof_ms == 2 * 1_000 + 900
    assert timers.settle_ms == 2 * 1_000, "one look without an answer moves nothing"
    assert timers.yield_ms == timers.claim_ms + 8_000


@pytest.mark.parametrize(
    ("written", "proof_ms", "safe"),
    [
        ("", 4_000, True),
        ("deadman: 7s", 4_000, True),
        ("deadman: 8s", 3_000, True),
        ("deadman: 10s", 2_000, True),
        ("limits: {proof: 6s, import: 2m, export: 10s}", 6_000, True),
        ("limits: {proof: 11s}", 11_000, False),
        ("limits: {proof: 500ms}", 500, False),
    ],
)
def test_how_long_a_shelf_may_pause(written: str, proof_ms: int, safe: bool) -> None:
    tree = {"pair.yaml": (EXAMPLES / "minimal-pair" / "pair.yaml").read_bytes() + f"  {written}\n".encode()}
    if not safe:
        with pytest.raises(ConfigurationError, match="failover cannot be safe"):
            load(tree)
        return
    timers = orders_of(load(tree)).timers
    assert timers.proof_ms == proof_ms
    assert timers.import_ms == (120_000 if "import" in written else 60_000)
    assert timers.release_ms == (10_000 if "export" in written else 5_000)


@pytest.mark.parametrize("name", NAMES)
def test_both_controllers_have_the_same_orders(name: str) -> None:
    a, b = orders(name), orders(name, "b")
    assert (a.side, b.side) == (Side.A, Side.B)
    assert digest(a) == digest(b)
    assert shelf_digest(a) == shelf_digest(b)


@pytest.mark.parametrize("name", NAMES)
def test_the_orders_of_the_examples_are_safe_and_can_be_written(name: str) -> None:
    key = orders_key(bytes(32))
    for controller in ("a", "b"):
        told = orders(name, controller)
        assert unsafe(told) == ()
        assert decode_orders(orders_document(told, key), key) == told


def test_without_a_failover_nothing_moves() -> None:
    assert fails_over(configuration("everything"))
    bare = configuration("everything", without=("failover", "storage", "shares"))
    assert not fails_over(bare)
    assert [warning.code for warning in bare.warnings] == ["failover-missing"]
    assert {reason.where for reason in unsafe(orders_of(bare))} == {"disks", "arbitration"}


def test_a_lone_controller_does_not_fail_over() -> None:
    pair = b"apiVersion: hagit/v1\nkind: Pair\nmetadata: {name: p}\nspec:\n  a: {hostname: p-a}\n"
    assert not fails_over(load({"pair.yaml": pair}))
