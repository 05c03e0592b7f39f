"""Pools and datasets as a person sees them: plan, apply, drift, rollback; on the active controller and the standby."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import pytest

from reconciler.core.facts.fact import Fact
from reconciler.core.facts.storage import STAMP, Dataset, Pool, PoolProperty, Property
from reconciler.core.failover.machine.phase import GUARANTEES, Phase
from reconciler.core.status.watchdog import watchdog_document
from reconciler.system.clock import monotonic_s
from tests.controller import PAIR, Controller, resource
from tests.standings import no_orders
from tests.system.pools.programs import install, load, save
from tests.wait import until

DISKS = "{type: mirror, disks: [wwn-0x5000c500a1b2c301, wwn-0x5000c500a1b2c302]}"
POOL = resource("Pool", "tank", f"{{vdevs: [{DISKS}], properties: {{autotrim: on}}}}")
HOME = resource("Dataset", "home", "{dataset: tank/home, quota: 10G, properties: {compression: zstd}}")
LONE = PAIR.replace("  b: {hostname: shelf-b}\n", "")


class Storage:
    """What the programs on a controller hold."""

    def __init__(self, controller: Controller, *pools: str) -> None:
        self.state = install(controller.root / "bin", *pools)
        controller.machine.run("mount", "--bind", str(controller.root / "bin"), "/usr/local/sbin")

    @property
    def facts(self) -> dict[tuple[str, ...], Fact]:
        """Everything that is there."""
        return load(self.state).facts

    def by_hand(self, fact: Fact) -> None:
        """A person changes something."""
        fake = load(self.state)
        fake.perform(None, fact)
        save(self.state, fake)


@pytest.fixture
def storage(controller: Controller) -> Storage:
    """Controller a with an empty pool."""
    controller.apply()
    return Storage(controller, "tank")


def test_from_a_plan_to_datasets_and_back_to_nothing_to_do(controller: Controller, storage: Storage) -> None:
    controller.work.commit("Home directories", storage__yaml=POOL + HOME)
    plan = controller.hagit("plan", "--detailed-exitcode")
    assert (plan.code, plan.err) == (2, "")
    assert "1 to create, 1 to change; worst impact none." in plan.out
    assert "filesystem tank/home with quota=10G, compression=zstd" in plan.out
    assert "autotrim off → on" in plan.out
    diff = controller.hagit("diff")
    assert "+ Dataset/home: " in diff.out and "tank/home" in diff.out
    assert "compression" not in diff.out, "what is missing with its dataset is told once"
    controller.apply()
    facts = storage.facts
    assert facts["dataset", "tank", "tank/home"] == Dataset("tank/home")
    assert facts["property", "tank", "tank/home", "quota"] == Property("tank/home", "quota", str(10 << 30))
    assert facts["property", "tank", "tank/home", STAMP] == Property("tank/home", STAMP, "home")
    assert facts["pool-property", "tank", "autotrim"] == PoolProperty("tank", "autotrim", "on")
    again = controller.hagit("plan", "--detailed-exitcode")
    assert (again.code, again.out) == (0, f"No changes. Live state matches main@{controller.in_force()[:7]}.\n")
    storage.by_hand(Property("tank/home", "compression", "off"))
    drift = controller.hagit("drift")
    assert drift.code == 1
    assert "compression of tank/home" in drift.out
    assert "compression off → zstd" in controller.hagit("plan").out


def test_a_saved_plan_is_stale_when_its_dataset_changed(controller: Controller, storage: Storage) -> None:
    controller.work.commit("Home directories", storage__yaml=POOL + HOME)
    file = str(controller.root / "saved")
    assert controller.hagit("plan", "--out", file).code == 0
    storage.by_hand(Dataset("tank/home"))
    stale = controller.hagit("apply", "--yes", file)
    assert stale.code != 0 and "filesystem tank/home has appeared" in stale.err
    assert controller.hagit("plan", "--out", file).code == 0
    assert controller.hagit("apply", "--yes", file).code == 0
    assert Property("tank/home", "compression", "zstd") in storage.facts.values()


def test_taking_a_resource_out_destroys_nothing_and_a_rollback_goes_back(
    controller: Controller, storage: Storage
) -> None:
    controller.work.commit("Only the pool", storage__yaml=POOL)
    controller.apply()
    controller.work.commit("Home directories", storage__yaml=POOL + HOME)
    controller.apply()
    controller.work.commit("Other properties", storage__yaml=POOL + HOME.replace("zstd", "lz4, atime: off"))
    controller.apply()
    assert Property("tank/home", "atime", "off") in storage.facts.values()
    back = controller.hagit("rollback", "--yes")
    assert back.code == 0, back
    assert Property("tank/home", "compression", "zstd") in storage.facts.values()
    assert Property("tank/home", "atime", "on", local=False) in storage.facts.values()
    controller.work.commit("Nothing about it", storage__yaml=POOL)
    plan = controller.hagit("plan")
    assert "No changes." in plan.out and "filesystem tank/home" in plan.out and "Left alone" in plan.out
    controller.apply()
    assert Dataset("tank/home") in storage.facts.values()
    assert controller.hagit("drift").code == 0


def test_what_is_protected_is_held_and_what_is_not_is_destroyed_last(controller: Controller, storage: Storage) -> None:
    storage.by_hand(Dataset("tank/home"))
    doomed = HOME.replace("quota: 10G", "destroy: true")
    controller.work.commit("Away with it", storage__yaml=POOL + doomed)
    held = controller.apply()
    assert "protected" in held.out and "1 held" in held.out
    assert Dataset("tank/home") in storage.facts.values()
    assert Property("tank", "autotrim", "on") not in storage.facts.values()
    assert PoolProperty("tank", "autotrim", "on") in storage.facts.values(), "the rest went on"
    controller.work.commit("Really", storage__yaml=POOL + doomed.replace("destroy:", "protected: false, destroy:"))
    plan = controller.hagit("plan")
    assert "worst impact data" in plan.out
    controller.apply()
    assert Dataset("tank/home") not in storage.facts.values()
    assert "No changes." in controller.hagit("plan").out


def test_what_cannot_be_read_is_neither_there_nor_missing(controller: Controller, storage: Storage) -> None:
    controller.work.commit("Home directories", storage__yaml=POOL + HOME)
    (storage.state.parent / "state.json.fail").touch()
    plan = controller.hagit("plan")
    assert plan.code == 0
    assert "[unknown]" in plan.out and "zpool ended with 1" in plan.out
    assert "No changes" in plan.out
    assert controller.hagit("diff").code == 0


def test_a_lone_controller_makes_its_pool(controller: Controller) -> None:
    storage = Storage(controller)
    text = POOL.replace("properties:", "create: true, properties:") + HOME
    controller.work.commit("Everything", storage__yaml=text)
    note = controller.hagit("plan")
    assert "left to the controller that has imported it: tank" in note.out, "of two, nobody knows which is active"
    controller.work.commit("Alone", pair__yaml=LONE, storage__yaml=text)
    controller.apply()
    assert Pool("tank") in storage.facts.values() and Dataset("tank/home") in storage.facts.values()
    assert "No changes." in controller.hagit("plan").out


def watched(controller: Controller, phase: Phase) -> None:
    """Controller a with a watchdog that is in this phase, for ten minutes at least."""
    secret = controller.root / "secret"
    secret.write_text("x" * 64)
    secret.chmod(0o600)
    run = controller.root / "run"
    run.mkdir()
    lines = (f"secret = '{secret}'", f"run = '{run}'", "shelf = 'simulated:/nowhere'", "group = 'root'")
    controller.write_node(watchdog="\n".join(lines))
    now_ms = int(monotonic_s() * 1_000)
    status = replace(no_orders(now_ms), phase=phase.value, role=GUARANTEES[phase].role.value, at_ms=now_ms + 600_000)
    (run / "watchdog.json").write_text(json.dumps(watchdog_document(status)))


def test_the_standby_leaves_pools_alone_and_does_them_when_it_is_active(
    controller: Controller, storage: Storage
) -> None:
    watched(controller, Phase.STANDBY)
    controller.work.commit("Home directories", storage__yaml=POOL + HOME)
    plan = controller.hagit("plan")
    assert "left to the active controller: tank (this controller is BACKUP)" in plan.out
    assert "held" not in plan.out and "No changes." in plan.out
    controller.apply()
    assert Dataset("tank/home") not in storage.facts.values()
    assert controller.hagit("drift").code == 0
    (controller.root / "run" / "watchdog.json").unlink()
    (controller.root / "run").rmdir()
    watched(controller, Phase.ACTIVE)
    controller.apply()
    assert Dataset("tank/home") in storage.facts.values()


def test_a_watchdog_that_says_nothing_says_nothing_of_pools(controller: Controller, storage: Storage) -> None:
    watched(controller, Phase.ACTIVE)
    (controller.root / "run" / "watchdog.json").unlink()
    controller.work.commit("Home directories", storage__yaml=POOL + HOME)
    plan = controller.hagit("plan")
    assert "the watchdog has not published" in plan.out and "No changes." in plan.out
    assert controller.hagit("diff").code == 0


def test_an_agent_does_what_it_left_out_when_its_controller_becomes_active(
    controller: Controller, storage: Storage
) -> None:
    watched(controller, Phase.STANDBY)
    commit = controller.work.commit("Home directories", storage__yaml=POOL + HOME)
    controller.start_agent()
    controller.until_applied(commit)
    assert Dataset("tank/home") not in storage.facts.values()
    status = json.loads((controller.root / "run" / "watchdog.json").read_bytes())
    fresh = controller.root / "run" / "fresh"
    fresh.write_text(json.dumps(status | {"phase": Phase.ACTIVE.value}))
    fresh.rename(controller.root / "run" / "watchdog.json")
    controller.agents[0].process.send_signal(signal.SIGHUP)
    until(lambda: Dataset("tank/home") in storage.facts.values(), lambda: (controller.logs(), controller.alerts()))


def test_the_agent_makes_datasets_and_puts_back_what_drifts(controller: Controller, storage: Storage) -> None:
    heal = resource("Alerting", "alerts", "{drift: {kinds: {Dataset: heal}}}")
    commit = controller.work.commit("Home directories", storage__yaml=POOL + HOME + heal)
    controller.start_agent()
    controller.until_applied(commit)
    assert Dataset("tank/home") in storage.facts.values()
    storage.by_hand(Property("tank/home", "compression", "off"))
    controller.agents[0].process.send_signal(signal.SIGHUP)
    wanted = Property("tank/home", "compression", "zstd")
    until(lambda: wanted in storage.facts.values(), controller.logs)
    controller.until_alert("drift")


def test_capture_describes_pools_and_planning_it_changes_nothing(controller: Controller, storage: Storage) -> None:
    storage.by_hand(Dataset("tank/home", options=(("compression", "zstd"), ("quota", str(10 << 30)))))
    storage.by_hand(Dataset("tank/home/alice", options=(("mountpoint", "/srv/alice"), ("recordsize", "1048576"))))
    storage.by_hand(Dataset("tank/odd", options=(("compression", "of-tomorrow"), ("copies", "2"))))
    storage.by_hand(PoolProperty("tank", "autotrim", "on"))
    captured = controller.hagit("capture")
    assert captured.code == 0, captured
    for words in (
        "name: tank-home-alice",
        "dataset: tank/home/alice",
        "quota: 10G",
        "recordsize: 1M",
        'autotrim: "on"',
    ):
        assert words.replace("10G", '"10G"').replace("1M", '"1M"') in captured.out, captured.out
    assert "of-tomorrow" in captured.out.partition("---")[0], "what the language has no word for is told"
    assert "copies: 2" in captured.out
    (controller.work.path / "pair.yaml").unlink()
    controller.work.commit("As it is", captured__yaml=captured.out)
    plan = controller.hagit("plan", "--detailed-exitcode")
    assert plan.code == 0 and "No changes." in plan.out, plan
