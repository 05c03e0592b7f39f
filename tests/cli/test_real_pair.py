"""The commands for the pair, on two real daemons: what they say is what happened."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.failover.orders.orders import Timers
from tests.controller import ROOT, Done
from tests.wait import until
from tests.watchdog.pair import ORDERS, PATIENT, TIMERS, Head, Pair

HAGIT = [sys.executable, "-m", "reconciler.cli.entry"]


@contextlib.contextmanager
def serving(root: Path, timers: Timers) -> Iterator[Pair]:
    made = Pair(root, replace(ORDERS, timers=timers))
    try:
        made.settle()
        yield made
    finally:
        made.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with serving(tmp_path, TIMERS) as made:
        yield made


def hagit(head: Head, *words: str) -> Done:
    environment = {"PATH": os.environ["PATH"], "HAGIT_NODE": str(head.node), "HOME": str(head.root), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [*HAGIT, *words], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def until_well(pair: Pair, active: Head) -> None:
    until(lambda: hagit(active, "switchover", "--plan").code == 0, lambda: hagit(active, "status").out)
    both = (pair.a, pair.b)
    until(
        lambda: all(hagit(head, "status").out.startswith("HA active: ") for head in both),
        lambda: [hagit(head, "status").out for head in both],
    )


def test_over_back_and_a_drill(pair: Pair) -> None:
    until_well(pair, pair.a)
    assert hagit(pair.a, "status").out.startswith("HA active: left is MASTER, right is BACKUP.\n")
    over = hagit(pair.a, "switchover")
    assert over.code == 0, over
    assert "Done: right is MASTER. Switchover, released here: served again after" in " ".join(over.out.split())
    assert pair.b.phase == "active"
    until_well(pair, pair.b)
    # What was measured is the prediction.
    until(lambda: "clients wait about" in " ".join(hagit(pair.b, "status").out.split()))
    until(lambda: not pair.b.reasons(), pair.b.reasons)
    peer = ["env", f"HAGIT_NODE={pair.a.node}", *HAGIT]
    drilled = hagit(pair.b, "drill", "--yes", "-o", "json", "--peer", shlex.join(peer))
    assert drilled.code == 0, drilled
    outage = drilled.json()["outage_ms"]
    assert 0 < outage["over"] < drilled.json()["bound_ms"]
    assert 0 < outage["back"] < drilled.json()["bound_ms"]
    (drill,) = [one for one in hagit(pair.b, "timeline", "-o", "json").json()["failovers"] if one["drill"]]
    assert drill["total_ms"] == outage["over"]
    assert drill["predicted"].startswith("predicted: about ")


def test_a_death_in_the_timeline_of_the_other(pair: Pair) -> None:
    pair.a.pull_the_plug()
    pair.until_phases(b="active")

    def last() -> dict[str, Any]:
        # Told after it has happened: the disk may be slow.
        failovers = hagit(pair.b, "timeline", "-o", "json").json()["failovers"]
        return dict(failovers[-1]) if failovers else {}

    until(lambda: last().get("total_ms"))
    move = last()
    assert (move["kind"], move["code"], move["ended"]) == ("takeover", "PEER_SILENT", "active")
    parts = (move[name] for name in ("detection_ms", "claim_ms", "import_ms", "addresses_ms"))
    assert sum(parts) == move["total_ms"]
    until(lambda: hagit(pair.b, "status").out.startswith("HA unavailable: the peer is silent"))
    shown = hagit(pair.b, "status").out
    assert "✗ NO_PONG" in shown


def test_watching_in_a_pipe(pair: Pair) -> None:
    """Something new is printed when the verdict changes, and nothing else."""
    until_well(pair, pair.a)
    watching = subprocess.Popen(
        [*HAGIT, "status", "--watch", "--node", str(pair.b.node)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    try:
        assert watching.stdout.readline() == "HA active: right is BACKUP, left is MASTER.\n"
        pair.a.pull_the_plug()
        told = iter(watching.stdout.readline, "")
        assert next(line for line in told if line.startswith("HA unavailable")).startswith("HA unavailable: the peer")
    finally:
        watching.terminate()
        watching.wait(30)
        watching.stdout.close()


def test_a_paused_daemon_differs_from_a_dead_one(tmp_path: Path) -> None:
    """A standby, so that nothing depends on it, with a deadman that is patient enough to be watched."""
    with serving(tmp_path, replace(PATIENT, deadman_ms=40_000, patience_ms=48_000)) as pair:
        pair.b.signal(signal.SIGSTOP)
        until(lambda: "has not answered within 3 s" in hagit(pair.b, "status").out)
        pair.b.kill()
        assert "the watchdog does not run on this controller" in hagit(pair.b, "status").out
