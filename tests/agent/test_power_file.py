"""The agent publishes the power plan beside the orders: what a revision says, and again when it is damaged."""

from dataclasses import replace
from pathlib import Path

from reconciler.agent.orders_file import OrdersFile
from reconciler.agent.power_file import PowerFile
from reconciler.agent.source.content import Content, cache_content, cached_content, compile_content
from reconciler.agent.store import Store
from reconciler.core.failover.orders.document import orders_key
from reconciler.core.failover.reservations.key import Side
from reconciler.core.power.document import decode_power
from reconciler.core.power.plan import PowerPlan
from reconciler.system.node import Node, WatchdogNode

SECRET = b"a secret of the tests, long enough for every seal"
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "everything"


def content() -> Content:
    return compile_content({path.name: path.read_bytes() for path in EXAMPLE.glob("*.yaml")}, "a")


def published(file: PowerFile) -> PowerPlan:
    assert file.path.stat().st_mode & 0o777 == 0o600
    read = decode_power(file.path.read_bytes(), orders_key(SECRET))
    assert isinstance(read, PowerPlan), read
    return read


def test_what_a_revision_says_is_published_once_and_again_when_it_is_damaged(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    store = Store(tmp_path / "state")
    file = PowerFile(WatchdogNode(secret, "simulated:/nowhere"), store)
    wanted = content()
    none = replace(wanted, power=None)
    assert file.publish(none) is None and not file.path.exists(), "where there never was one, there is none"
    assert [change.what for change in file.changes(wanted)] == ["power of controller a", "power of controller b"]
    assert file.publish(wanted) == wanted.power == published(file)
    switch = published(file).of(Side.B)
    assert switch is not None and (switch.agent, switch.timeout_ms) == ("fence_ipmilan", 20_000)
    assert {"ip=10.0.9.12", "lanplus=1", "power_wait=0"} < {f"{one.name}={one.value}" for one in switch.options}
    assert file.publish(wanted) is None and file.changes(wanted) == ()
    file.path.write_bytes(b"rubbish")
    assert file.publish(wanted) == published(file)
    assert file.publish(none) == published(file) and published(file).switches == ()


def test_it_is_published_with_the_orders_and_put_right_though_they_are_settled(tmp_path: Path) -> None:
    secret, serial = tmp_path / "secret", tmp_path / "serial"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    serial.write_text("SN-3001\n")
    node = Node(tmp_path / "node.toml", "a", serial_file=serial)
    file = OrdersFile(node, WatchdogNode(secret, "simulated:/nowhere"), Store(tmp_path / "state"))
    wanted, power = content(), tmp_path / "state" / "power.json"
    assert file.publish(wanted, "c0ffee") is not None
    assert file.publish(wanted, "c0ffee") is None and file.publish(wanted, "c0ffee") is None
    written = power.stat().st_ino
    power.unlink()
    assert file.publish(wanted, "c0ffee") is None and power.exists(), "only the plan was lost"
    assert file.publish(wanted, "c0ffee") is None
    power.write_bytes(b"rubbish")
    assert file.publish(wanted, "c0ffee") is None
    assert power.stat().st_ino != written and decode_power(power.read_bytes(), orders_key(SECRET)) == wanted.power


def test_the_plan_is_kept_with_the_content_of_a_commit(tmp_path: Path) -> None:
    store, wanted = Store(tmp_path / "state"), content()
    assert wanted.power is not None
    for one in (wanted, replace(wanted, power=None)):
        cache_content(store, "c0ffee", one)
        kept = cached_content(store, "c0ffee", "a")
        assert kept is not None and kept.power == one.power
