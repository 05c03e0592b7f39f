"""Network and pools as one: pools cost nothing unless asked for, and only the active controller touches them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.agent.host import LiveHost, pool_placement
from reconciler.core.facts.fact import Mtu
from reconciler.core.facts.state import Placement
from reconciler.core.facts.storage import Dataset, Pool, Property
from reconciler.core.failover.machine.phase import GUARANTEES, Phase
from reconciler.core.status.watchdog import watchdog_document
from reconciler.errors import PerformError
from reconciler.simulation.fake_network import FakeNetwork, plugged_in
from reconciler.system.clock import monotonic_s
from reconciler.system.node import Node, WatchdogNode
from tests.standings import no_orders

ROOT = Path(__file__).parents[2]
HOME = Dataset("tank/home")


def node(run: Path, phase: Phase | None = None, *, age_ms: int = 0) -> Node:
    """The node of a controller whose watchdog said so long ago that it is in a phase; None: it says nothing."""
    if phase is not None:
        now_ms = int(monotonic_s() * 1_000)
        status = replace(
            no_orders(now_ms), phase=phase.value, role=GUARANTEES[phase].role.value, at_ms=now_ms + 600_000 - age_ms
        )
        (run / "watchdog.json").write_text(json.dumps(watchdog_document(status)))
    return Node(run / "node.toml", "a", watchdog=WatchdogNode(run / "secret", "simulated:/nowhere", run=run))


def test_without_pools_no_module_of_zfs_is_loaded() -> None:
    code = """
import sys
from pathlib import Path
from reconciler.agent.host import LiveHost
from reconciler.core.facts.fact import Mtu
from reconciler.simulation.fake_network import FakeNetwork, plugged_in
from reconciler.system.node import Node
live = LiveHost(FakeNetwork(plugged_in("e0")), Node(Path("/nowhere"), "a"))
live.select_storage([("mtu", "e0")])
live.observe(); live.observe_keys([("mtu", "e0")]); live.perform(None, Mtu("e0", 1400))
print([name for name in sys.modules if name.startswith("reconciler.system.zfs") or name == "subprocess"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_watchdog_says_whose_the_pools_are(tmp_path: Path) -> None:
    assert pool_placement(Node(tmp_path / "node.toml", "a")) == (Placement.UNWATCHED, "")
    silent, why = pool_placement(node(tmp_path))
    assert silent is Placement.STANDBY and "not published" in why
    assert pool_placement(node(tmp_path, Phase.ACTIVE)) == (Placement.ACTIVE, "")
    assert pool_placement(node(tmp_path, Phase.RELEASING)) == (Placement.STANDBY, "this controller is BACKUP")
    stale, why = pool_placement(node(tmp_path, Phase.ACTIVE, age_ms=700_000))
    assert stale is Placement.STANDBY and why


def test_what_is_not_this_controllers_is_neither_looked_at_nor_touched(tmp_path: Path) -> None:
    live = LiveHost(FakeNetwork(plugged_in("e0")), node(tmp_path, Phase.STANDBY))
    assert live.select_storage([HOME.key, ("mtu", "e0")])
    look = live.observe()
    assert (look.placement, look.placement_why) == (Placement.STANDBY, "this controller is BACKUP")
    assert not any(key[0] in ("pool", "dataset", "property") for key in look.facts)
    for fact in (Pool("tank"), HOME, Property("tank/home", "quota", "0")):
        with pytest.raises(PerformError, match="not this controller's: this controller is BACKUP"):
            live.perform(None, fact)
    live.perform(None, Mtu("e0", 1400))
    assert live.observe().facts["mtu", "e0"] == Mtu("e0", 1400)


def test_a_look_is_repeated_only_for_what_it_left_out(tmp_path: Path) -> None:
    live = LiveHost(FakeNetwork(plugged_in("e0")), node(tmp_path, Phase.STANDBY))
    assert not live.select_storage([("mtu", "e0")])
    assert live.select_storage([HOME.key])
    assert not live.select_storage([HOME.key])
    assert live.select_storage([HOME.key, ("property", "tank", "tank/home", "quota")])
    assert not live.select_storage([HOME.key])
