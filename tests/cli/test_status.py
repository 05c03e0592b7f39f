"""`hagit status` against real core states behind a real control socket."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.core.status.watchdog import OverrideStatus, PairVerdict, watchdog_document
from reconciler.simulation.timed.faults import inject
from tests.cli.screen import Screen
from tests.cli.simulated_pair import MakeOperator, SimulatedPair, node_file, use_node_of
from tests.controller import Controller
from tests.standings import no_orders


def test_status_of_a_pair_that_is_well(operator_of: MakeOperator) -> None:
    operator = operator_of()
    active, standby = operator.hagit("a", "status").out, operator.hagit("b", "status").out
    assert active.startswith("HA active: storage-a is MASTER, storage-b is BACKUP.\n")
    assert standby.startswith("HA active: storage-b is BACKUP, storage-a is MASTER.\n")
    for words in ("switchover  ready; clients wait at most", "pools       all here", "10.0.0.10/24 on net0: here",
                  "Controller a: no revision was applied yet.", "agent      not running",
                  "pools are imported here under our reservation"):  # fmt: skip
        assert words in active, active
    assert "switchover  not from here: ask on storage-a" in standby
    assert "net0: not here" in standby


@pytest.mark.parametrize(
    ("story", "side", "line", "has"),
    [
        (("at 12s cable-pull interlink",), "a", "HA active, with 1 warning: storage-a is MASTER",
         ["! NO_HEARTBEAT", "→ check that network", "interlink"]),
        (("at 12s all-cables",), "b", "HA unavailable: the peer is silent on every network, but its disk record moves",
         ["✗ ISOLATED", "✗ NO_PONG", "SILENT", "→ mend a network", "and 3 more reasons"]),
        (("at 12s disable",), "a", "HA administratively disabled: failover is disabled",
         ["✗ NO_FAILOVER", "`hagit failover enable` says how", "switchover  not now: failover is disabled"]),
        (("at 12s maintenance a 3600000",), "a", "HA administratively disabled: maintenance is in progress",
         ["maintenance", "`hagit maintenance --end` ends it"]),
        (("at 12s disks-lost b",), "b", "HA unavailable: ", ["✗ NO_DISKS", "→ check cables, HBA and shelf"]),
        (("boot b never",), "a", "HA unavailable: the peer has not been heard",
         ["never heard since", "→ start the peer"]),
    ],
)  # fmt: skip
def test_status_says_what_is_wrong_and_what_to_do(
    operator_of: MakeOperator, story: tuple[str, ...], side: str, line: str, has: list[str]
) -> None:
    out = operator_of(*story, until="40s" if "boot" in story[0] else "20s").hagit(side, "status").out
    assert out.startswith(line), out
    for words in has:
        assert words in out, out


def test_status_as_a_document(operator_of: MakeOperator) -> None:
    document = operator_of("at 12s disable").hagit("b", "status", "-o", "json").json()
    ha = document["ha"]
    assert (ha["verdict"], ha["well"], ha["fresh"]) == (PairVerdict.DISABLED.value, False, True)
    assert ha["status"]["role"] == "BACKUP"
    assert [reason["code"] for reason in ha["status"]["reasons"]] == ["NO_FAILOVER"]
    assert document["format"] == "hagit.status/1"


def test_the_exit_status_when_it_is_asked_for(operator_of: MakeOperator) -> None:
    operator = operator_of("at 12s disable")
    assert operator.hagit("a", "status").code == 0
    assert operator.hagit("a", "status", "--detailed-exitcode").code == 2


def test_status_when_the_watchdog_is_down(operator_of: MakeOperator) -> None:
    operator = operator_of()
    path = operator.root / "a" / "run" / "watchdog.json"
    operator.pair.stop("a")
    document = json.loads(path.read_bytes())
    fresh = operator.hagit("a", "status").out
    assert fresh.startswith("HA active"), "a status that is not old yet is believed"
    path.write_text(json.dumps(document | {"at_ms": document["at_ms"] - 65_000, "since_ms": 0}))
    stale = operator.hagit("a", "status").out
    assert stale.startswith("HA unavailable: the watchdog does not run on this controller.\n")
    assert "→ start it with `hagit watchdog`" in stale
    assert "what follows was so 1 min 5 s ago" in stale
    assert "MASTER" in stale
    path.write_text(json.dumps(document | {"boot": "another"}))
    rebooted = operator.hagit("a", "status").out
    assert rebooted.startswith("HA unavailable: the watchdog does not run")
    assert "MASTER" not in rebooted, "what was before a reboot says nothing"
    path.unlink()
    assert operator.hagit("a", "status").out.startswith("HA unavailable: the watchdog does not run")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 10_000, b"[]", b'{"format":"hagit.watchdog/1"}', b"\xff" * 99])
def test_status_when_the_document_is_damaged(operator_of: MakeOperator, content: bytes) -> None:
    operator = operator_of()
    operator.pair.stop("a")
    (operator.root / "a" / "run" / "watchdog.json").write_bytes(content)
    shown = operator.hagit("a", "status")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("HA unavailable: the watchdog does not run on this controller.")


def test_status_of_a_watchdog_without_orders(operator_of: MakeOperator) -> None:
    operator = operator_of()
    operator.pair.stop("a")
    (operator.root / "a" / "run" / "watchdog.json").write_text(json.dumps(watchdog_document(no_orders())))
    out = operator.hagit("a", "status").out
    assert out.startswith("HA unavailable: the watchdog has no orders to follow.\n")
    assert "✗ NO_ORDERS" in out


def test_status_without_a_watchdog_shows_the_agent_only(operator_of: MakeOperator) -> None:
    operator = operator_of()
    operator.nodes["a"].write_text('controller = "a"\nstate = "state"\nlisten = false\n')
    shown = operator.hagit("a", "status", "-o", "json").json()
    assert "ha" not in shown
    assert operator.hagit("a", "status").out.startswith("Controller a: no revision was applied yet.\n")
    refused = operator.hagit("a", "switchover")
    assert refused.code == 1
    assert "this controller has no watchdog" in refused.err
    assert "[watchdog]" in refused.err


@pytest.mark.parametrize("columns", ["80"])
def test_every_line_fits_eighty_columns(tmp_path: Path, columns: str) -> None:
    """On a terminal, where lines are folded to its width."""
    pair = SimulatedPair(tmp_path, "at 12s all-cables", "at 13s maintenance a 60000", "at 14s disk-gone disk1")
    pair.daemons["a"].changes = {
        "override": OverrideStatus(enabled=False, left_ms=7_000_000),
        "refused": "generation 3 here is older than generation 4, which was accepted on Friday, and that is that",
    }
    try:
        script = f"stty cols {columns}; exec {sys.executable} -m reconciler.cli.entry status"
        done = subprocess.run(
            ["script", "-qec", script, "/dev/null"], capture_output=True, text=True, timeout=60, check=True,
            env={"HAGIT_NODE": str(node_file(tmp_path, "a")), "PATH": "/usr/bin:/bin", "TERM": "xterm", "NO_COLOR": "1",
                 "PYTHONPATH": str(Path(__file__).parents[2]), "LANG": "C.UTF-8", "SHELL": "/bin/sh"},
        )  # fmt: skip
    finally:
        pair.close()
    lines = done.stdout.splitlines()
    assert len(lines) > 30, done.stdout
    assert lines[0].startswith("HA administratively disabled")
    assert [line for line in lines[1:] if len(line) > 80] == []


def test_watching_a_switchover(controller: Controller, tmp_path: Path) -> None:
    pair = SimulatedPair(tmp_path / "pair")
    try:
        use_node_of(controller, "b", tmp_path / "pair")
        screen = Screen(controller, "status", "--watch", NO_COLOR="1")
        screen.until("HA active: storage-b is BACKUP, storage-a is MASTER.")
        pair.happen(lambda world: inject(world, "switchover", ()))
        screen.until("HA active: storage-b is MASTER, storage-a is BACKUP.")
        screen.type("\x03")
        assert screen.end() == 130
    finally:
        pair.close()
