"""Orders from a configuration: what the language can say of them already."""

from pathlib import Path

from reconciler.core.failover.key import Side
from reconciler.core.failover.orders import Channel, ChannelKind, Group, Orders, digest
from reconciler.core.failover.unsafe import unsafe
from reconciler.core.spec import load
from reconciler.core.spec.orders import TOLD, fails_over, orders_of

EXAMPLES = Path(__file__).parent.parent.parent.parent / "examples"


def orders(name: str, controller: str = "a") -> Orders:
    tree = {path.name: path.read_bytes() for path in (EXAMPLES / name).glob("*.yaml")}
    return orders_of(load(tree), controller)


def test_channels_groups_and_addresses() -> None:
    told = orders("everything")
    assert told.channels == (
        Channel("clients", ChannelKind.CARP),
        Channel("storage.20", ChannelKind.CARP),
        Channel("interlink"),
    )
    assert told.groups == (Group(1, ("clients",)), Group(2, ("storage.20",)))
    assert [(one.interface, one.vhid) for one in told.addresses] == [
        ("clients", 20), ("clients", 20), ("storage.20", 21),
    ]  # fmt: skip


def test_both_controllers_have_the_same_orders() -> None:
    a, b = orders("minimal-pair"), orders("minimal-pair", "b")
    assert (a.side, b.side) == (Side.A, Side.B)
    assert digest(a) == digest(b)


def test_only_disks_are_missing() -> None:
    for name in ("minimal-pair", "everything", "bonds-vlans-jumbo"):
        reasons = {reason.where for reason in unsafe(orders(name))}
        assert reasons == {"disks", "arbitration"}
        assert not reasons & TOLD


def test_a_lone_controller_does_not_fail_over() -> None:
    pair = b"apiVersion: hagit/v1\nkind: Pair\nmetadata: {name: p}\nspec:\n  a: {hostname: p-a}\n"
    assert not fails_over(load({"pair.yaml": pair}))
