"""Status and the commands of the watchdog, against real core states behind a real control socket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.cli.application import run
from reconciler.cli.duration import duration_text, parsed_ms
from reconciler.core.status.watchdog import OverrideStatus, PairVerdict, watchdog_document
from reconciler.errors import UsageError
from reconciler.simulation.faults import heal, inject
from reconciler.system.control_protocol import ControlRequest, RequestKind
from tests.cli.pair import Pair, node_file
from tests.cli.screen import Screen
from tests.controller import Controller, Done
from tests.standings import SWITCHOVER, no_orders
from tests.wait import until

Captured = pytest.CaptureFixture[str]


class Desk:
    """Somebody who types commands on one controller or the other."""

    def __init__(self, pair: Pair, root: Path, capsys: Captured) -> None:
        self.pair, self.root, self._capsys = pair, root, capsys
        self.nodes = {side: node_file(root, side) for side in "ab"}

    def hagit(self, side: str, *words: str) -> Done:
        code = run([words[0], "--node", str(self.nodes[side]), *words[1:]])
        shown = self._capsys.readouterr()
        return Done(code, shown.out, shown.err)


@pytest.fixture
def sit(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Desk]]:
    made: list[Pair] = []
    monkeypatch.setenv("NO_COLOR", "1")

    def make(*lines: str, until: str = "20s") -> Desk:
        made.append(Pair(tmp_path, *lines, until=until))
        return Desk(made[-1], tmp_path, capsys)

    yield make
    for pair in made:
        pair.close()


# Status ----------------------------------------------------------------------------------------------------------


def test_status_of_a_pair_that_is_well(sit: Callable[..., Desk]) -> None:
    desk = sit()
    active, standby = desk.hagit("a", "status").out, desk.hagit("b", "status").out
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
        (("at 12s all-cables",), "b", "HA unavailable: every network to the peer is silent, but it lives",
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
    sit: Callable[..., Desk], story: tuple[str, ...], side: str, line: str, has: list[str]
) -> None:
    out = sit(*story, until="40s" if "boot" in story[0] else "20s").hagit(side, "status").out
    assert out.startswith(line), out
    for words in has:
        assert words in out, out


def test_status_as_a_document(sit: Callable[..., Desk]) -> None:
    document = sit("at 12s disable").hagit("b", "status", "-o", "json").json()
    ha = document["ha"]
    assert (ha["verdict"], ha["well"], ha["fresh"]) == (PairVerdict.DISABLED.value, False, True)
    assert ha["status"]["role"] == "BACKUP"
    assert [reason["code"] for reason in ha["status"]["reasons"]] == ["NO_FAILOVER"]
    assert document["format"] == "hagit.status/1"


def test_the_exit_status_when_it_is_asked_for(sit: Callable[..., Desk]) -> None:
    desk = sit("at 12s disable")
    assert desk.hagit("a", "status").code == 0
    assert desk.hagit("a", "status", "--detailed-exitcode").code == 2


def test_status_when_the_watchdog_is_down(sit: Callable[..., Desk]) -> None:
    desk = sit()
    path = desk.root / "a" / "run" / "watchdog.json"
    desk.pair.stop("a")
    document = json.loads(path.read_bytes())
    fresh = desk.hagit("a", "status").out
    assert fresh.startswith("HA active"), "a status that is not old yet is believed"
    path.write_text(json.dumps(document | {"at_ms": document["at_ms"] - 65_000, "since_ms": 0}))
    stale = desk.hagit("a", "status").out
    assert stale.startswith("HA unavailable: the watchdog does not run on this controller.\n")
    assert "→ start it with `hagit watchdog`" in stale
    assert "what follows was so 1 min 5 s ago" in stale
    assert "MASTER" in stale
    path.write_text(json.dumps(document | {"boot": "another"}))
    rebooted = desk.hagit("a", "status").out
    assert rebooted.startswith("HA unavailable: the watchdog does not run")
    assert "MASTER" not in rebooted, "what was before a reboot says nothing"
    path.unlink()
    assert desk.hagit("a", "status").out.startswith("HA unavailable: the watchdog does not run")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 10_000, b"[]", b'{"format":"hagit.watchdog/1"}', b"\xff" * 99])
def test_status_when_the_document_is_damaged(sit: Callable[..., Desk], content: bytes) -> None:
    desk = sit()
    desk.pair.stop("a")
    (desk.root / "a" / "run" / "watchdog.json").write_bytes(content)
    shown = desk.hagit("a", "status")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("HA unavailable: the watchdog does not run on this controller.")


def test_status_of_a_watchdog_without_orders(sit: Callable[..., Desk]) -> None:
    desk = sit()
    desk.pair.stop("a")
    (desk.root / "a" / "run" / "watchdog.json").write_text(json.dumps(watchdog_document(no_orders())))
    out = desk.hagit("a", "status").out
    assert out.startswith("HA unavailable: the watchdog has no orders to follow.\n")
    assert "✗ NO_ORDERS" in out


def test_status_without_a_watchdog_is_what_it_was(sit: Callable[..., Desk]) -> None:
    desk = sit()
    desk.nodes["a"].write_text('controller = "a"\nstate = "state"\nlisten = false\n')
    shown = desk.hagit("a", "status", "-o", "json").json()
    assert "ha" not in shown
    assert desk.hagit("a", "status").out.startswith("Controller a: no revision was applied yet.\n")
    refused = desk.hagit("a", "switchover")
    assert refused.code == 1
    assert "this controller has no watchdog" in refused.err
    assert "[watchdog]" in refused.err


@pytest.mark.parametrize("columns", ["80"])
def test_every_line_fits_eighty_columns(tmp_path: Path, columns: str) -> None:
    """On a terminal, where lines are folded to its width."""
    pair = Pair(tmp_path, "at 12s all-cables", "at 13s maintenance a 60000", "at 14s disk-gone disk1")
    pair.halves["a"].changes = {
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


# Switchover --------------------------------------------------------------------------------------------------------


def test_a_plan_of_a_switchover(sit: Callable[..., Desk]) -> None:
    desk = sit()
    desk.pair.halves["a"].changes = {"done": (SWITCHOVER,)}
    plan = desk.hagit("a", "switchover", "--plan")
    assert plan.code == 0
    assert plan.out.startswith("Switchover of tank: storage-a → storage-b\n  clients    wait ")
    assert "at most 1 min 14 s by the orders" in plan.out
    until(lambda: "wait about 1.2 s, as the last one took" in desk.hagit("a", "switchover", "--plan").out)
    for part in ("5 s       release", "8 s       claim", "1 min     import", "nothing reboots"):
        assert part in plan.out, plan.out
    assert not [one for one in desk.pair.halves["a"].asked if one.kind is RequestKind.SWITCHOVER]


def test_a_switchover_is_done_and_measured(sit: Callable[..., Desk]) -> None:
    desk = sit()
    done = desk.hagit("a", "switchover")
    assert (done.code, done.err) == (0, "")
    assert "Done: storage-b is MASTER. Switchover, released here: served again after" in done.out
    resting = desk.hagit("a", "status").out
    assert "LOC_RESTING" in resting or resting.startswith("HA active"), resting
    until(lambda: desk.hagit("a", "status").out.startswith("HA active: storage-a is BACKUP, storage-b is MASTER."))
    until(lambda: desk.hagit("b", "switchover", "--plan").code == 0)
    back = desk.hagit("b", "switchover", "-o", "json")
    document = back.json()
    assert (back.code, document["outcome"]) == (0, "done")
    assert 0 < document["failover"]["total_ms"] < 74_000
    again = until(lambda: plan if (plan := desk.hagit("a", "switchover", "--plan")).code == 0 else None).out
    assert "wait about" in again, "what was measured is what is predicted"


@pytest.mark.parametrize(
    ("story", "side", "says"),
    [
        ((), "b", ["this controller is not active", "→ storage-a is active: ask there"]),
        (("at 12s disable",), "a", ["failover is disabled", "✗ NO_FAILOVER", "✗ REM_NOT_ABLE"]),
        (("at 12s disks-lost b",), "a", ["the peer does not see enough of the disks", "✗ REM_NO_DISKS"]),
        (("at 12s all-cables",), "a", ["the peer is not heard on any network", "! NO_HEARTBEAT"]),
        (("at 12s nics-down b",), "a", ["a failover group is down at the peer that is up here"]),
    ],
)
def test_a_switchover_is_refused_with_every_reason(
    sit: Callable[..., Desk], story: tuple[str, ...], side: str, says: list[str]
) -> None:
    desk = sit(*story)
    for words in (("switchover",), ("switchover", "--plan")):
        refused = desk.hagit(side, *words)
        assert refused.code == 1
        for what in says:
            assert what in refused.out, refused.out
    document = desk.hagit(side, "switchover", "--plan", "-o", "json").json()
    assert document["ready"] is False
    assert document["obstacles"]


def test_a_switchover_that_nobody_takes(sit: Callable[..., Desk]) -> None:
    desk = sit()
    desk.pair.happen(lambda world: inject(world, "claim-hangs", ("b",)))
    desk.pair.happen(lambda world: inject(world, "import-refused", ("b",)))
    failed = desk.hagit("a", "switchover", "--timeout", "20s")
    assert failed.code in (1, 3), failed
    assert "hagit: " in failed.err


def test_a_switchover_that_takes_too_long(sit: Callable[..., Desk]) -> None:
    desk = sit()
    desk.pair.happen(lambda world: inject(world, "export-hangs", ("a",)))
    late = desk.hagit("a", "switchover", "--timeout", "30ms")
    assert late.code == 3
    assert "not done within 30 ms" in late.err
    assert "hagit status --watch" in late.err


def test_a_switchover_whose_release_hangs_fails(sit: Callable[..., Desk]) -> None:
    desk = sit()
    desk.pair.happen(lambda world: inject(world, "reset-fails", ("a",)))
    desk.pair.happen(lambda world: inject(world, "export-hangs", ("a",)))
    failed = desk.hagit("a", "switchover", "--timeout", "20s")
    assert failed.code == 1
    assert "it failed: storage-a is ERROR (halted): the export stood still for too long" in failed.err


def test_a_switchover_that_somebody_keeps_from_going_on_is_given_up(sit: Callable[..., Desk]) -> None:
    desk = sit()
    desk.pair.happen(lambda world: inject(world, "export-used", ("a",)))
    failed = desk.hagit("a", "switchover")
    assert failed.code == 1
    assert "it failed: storage-a is MASTER (active)" in failed.err
    assert "SWITCHOVER_GIVEN_UP" in failed.err
    assert "somebody uses what is mounted" in failed.err
    desk.pair.happen(lambda world: heal(world, "export-used", ("a",)))
    done = desk.hagit("a", "switchover")
    assert done.code == 0, done.err


# Force-activate ----------------------------------------------------------------------------------------------------


def test_force_activate_says_what_it_overrides(sit: Callable[..., Desk]) -> None:
    desk = sit("orders enabled no", until="60s")
    wrong = desk.hagit("a", "force-activate", "--word", "storage-b")
    assert wrong.code == 1
    assert "refused: the word is the name of this controller" in wrong.err
    forced = desk.hagit("a", "force-activate", "--word", "storage-a")
    assert forced.code == 0, forced
    for words in ("This overrides:", "✗ NO_FAILOVER", "✗ NO_OWNER", "cuts storage-b off", "Not overridden: the disks."):
        assert words in forced.out, forced.out
    assert forced.out.endswith("Done: storage-a is MASTER and serves clients.\n")
    again = desk.hagit("a", "force-activate", "--word", "storage-a")
    assert (again.code, again.err) == (1, "Nothing to do: storage-a is active already.\n")


def test_force_activate_without_a_word(sit: Callable[..., Desk]) -> None:
    refused = sit().hagit("b", "force-activate")
    assert refused.code == 1
    assert "there is no terminal to type the word on" in refused.err
    assert "--word storage-b" in refused.err


def test_force_activate_that_the_disks_refuse(sit: Callable[..., Desk]) -> None:
    refused = sit("at 12s disks-lost b").hagit("b", "force-activate", "--word", "storage-b")
    assert refused.code == 1
    assert "refused: this controller does not see enough of the disks" in refused.err


# Maintenance and overrides -----------------------------------------------------------------------------------------


def test_maintenance_begins_and_ends(sit: Callable[..., Desk]) -> None:
    desk = sit()
    begun = desk.hagit("a", "maintenance", "--for", "2h")
    assert begun.code == 0
    assert "storage-b would still take over if it died" in begun.out
    assert desk.hagit("a", "status").out.startswith("HA administratively disabled: maintenance is in progress")
    assert desk.hagit("b", "maintenance").code == 0
    assert desk.pair.halves["b"].asked[-1] == ControlRequest(RequestKind.MAINTENANCE, duration_ms=1_800_000)
    assert [desk.hagit(side, "maintenance", "--end").code for side in "ab"] == [0, 0]
    until(lambda: desk.hagit("a", "status").out.startswith("HA active"))


def test_an_override_and_its_end(sit: Callable[..., Desk]) -> None:
    desk = sit()
    half = desk.pair.halves["a"]
    assert desk.hagit("a", "failover", "disable", "--for", "2h").code == 0
    assert half.asked[-1] == ControlRequest(RequestKind.OVERRIDE, duration_ms=7_200_000)
    half.changes = {"override": OverrideStatus(enabled=False, left_ms=7_000_000)}
    until(lambda: "override    failover disabled by a person, 1 h 56 min left" in desk.hagit("a", "status").out)
    assert desk.hagit("a", "failover", "enable").code == 0
    assert half.asked[-1] == ControlRequest(RequestKind.OVERRIDE, end=True)


def test_failover_is_configuration(sit: Callable[..., Desk]) -> None:
    desk = sit()
    told_ = desk.hagit("a", "failover", "disable")
    assert told_.code == 1
    for words in ("Nothing was changed", "kind: Failover", "    enabled: false", "--for 2h", "git commit"):
        assert words in told_.out
    assert max(map(len, told_.out.splitlines())) <= 80
    already = desk.hagit("a", "failover", "enable")
    assert (already.code, already.out) == (0, "Nothing to do: failover is enabled by the orders (generation 1).\n")
    assert desk.pair.halves["a"].asked == []


# Timeline and drill ------------------------------------------------------------------------------------------------


def test_the_timeline_of_a_switchover(sit: Callable[..., Desk]) -> None:
    desk = sit()
    assert desk.hagit("a", "timeline").out.startswith("Events (")
    assert desk.hagit("a", "switchover").code == 0
    there, here = desk.hagit("b", "timeline").out, desk.hagit("a", "timeline").out
    assert "switchover, taken over here: served again after" in there
    assert "(detection 0 ms, claim" in " ".join(there.split())
    assert "standby → claiming: the peer has released the pools" in there
    assert "switchover, released here: served again after" in here
    assert "the peer says that it is active" in here
    # A controller whose daemon is down still knows.
    desk.pair.stop("a")
    assert desk.hagit("a", "timeline").out == here
    document = desk.hagit("b", "timeline", "-o", "json", "-n", "2").json()
    assert len(document["events"]) == 2
    (move,) = document["failovers"]
    assert move["total_ms"] == move["detection_ms"] + move["claim_ms"] + move["import_ms"] + move["addresses_ms"]


def test_a_timeline_of_nothing_and_of_rubbish(sit: Callable[..., Desk]) -> None:
    desk = sit()
    path = desk.root / "a" / "state" / "watchdog" / "timeline.jsonl"
    desk.pair.stop("a")
    path.unlink(missing_ok=True)
    assert "Nothing has happened yet" in desk.hagit("a", "timeline").out
    path.write_bytes(b'\xff\n{}\n[]\n{"at":1}\nnull\n' + b"[" * 9_000 + b"\n")
    assert "Nothing has happened yet" in desk.hagit("a", "timeline").out


def test_a_drill_there_and_back(sit: Callable[..., Desk]) -> None:
    desk = sit()
    there = f"{sys.executable} -m reconciler.cli.entry --node {desk.nodes['b']}"
    drilled = desk.hagit("a", "drill", "--yes", "--peer", there)
    assert drilled.code == 0, drilled
    said = " ".join(drilled.out.split())
    assert "There: storage-b is MASTER. drill, released here: served again after" in said
    assert "predicted: at most 1 min 14 s by the orders" in said
    assert "within the bound of 1 min 14 s" in said
    assert "Back: storage-a is MASTER." in said
    assert "drill, released here: served again after" in desk.hagit("a", "timeline", "--failovers").out
    until(lambda: desk.hagit("a", "status").out.startswith("HA active: storage-a is MASTER"))


@pytest.mark.parametrize(("story", "side"), [(("at 12s cable-pull interlink",), "a"), ((), "b")])
def test_a_drill_is_refused_when_anything_is_wrong(sit: Callable[..., Desk], story: tuple[str, ...], side: str) -> None:
    desk = sit(*story)
    assert desk.hagit(side, "drill", "--yes").code == 1
    assert not [one for one in desk.pair.halves[side].asked if one.kind is RequestKind.DRILL]


def test_a_drill_asks_first(sit: Callable[..., Desk]) -> None:
    desk = sit()
    asked = desk.hagit("a", "drill")
    assert (asked.code, asked.err) == (1, "Nothing was done.\n")


def test_a_drill_that_cannot_come_back(sit: Callable[..., Desk]) -> None:
    stuck = sit().hagit("a", "drill", "--yes", "--peer", "false")
    assert stuck.code == 1
    assert "the drill stopped: `false switchover` failed" in stuck.err


# When the watchdog does not answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [("switchover",), ("switchover", "--plan"), ("force-activate", "--word", "x"), ("maintenance",), ("drill", "--yes"),
     ("failover", "disable", "--for", "1h"), ("maintenance", "--end")],
    ids=" ".join,
)  # fmt: skip
def test_every_request_says_that_the_watchdog_is_down(sit: Callable[..., Desk], words: tuple[str, ...]) -> None:
    desk = sit()
    desk.pair.stop("a")
    (desk.root / "a" / "run" / "watchdog.json").unlink()
    down = desk.hagit("a", *words)
    assert (down.code, down.out) == (1, "")
    assert "the watchdog does not run on this controller\n  start it with `hagit watchdog`" in down.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("maintenance", "--for", "soon"), "--for soon: not a time"),
        (("maintenance", "--for", "0s"), "--for 0s: not a time"),
        (("maintenance", "--for", "1h", "--end"), "leave one of them out"),
        (("failover", "disable", "--for", "999h"), "not a time from 1ms to 168h"),
        (("switchover", "--timeout", "x"), "--timeout x"),
    ],
)
def test_command_lines_that_make_no_sense(sit: Callable[..., Desk], words: tuple[str, ...], says: str) -> None:
    wrong = sit().hagit("a", *words)
    assert wrong.code == 1
    assert says in wrong.err


def test_times_as_people_say_them() -> None:
    times_ms = (0, 999, 1_000, 1_250, 59_900, 60_000, 65_000, 3_600_000, 7_500_000, 200_000_000)
    assert [duration_text(ms) for ms in times_ms] == [
        "0 ms", "999 ms", "1 s", "1.2 s", "59.9 s", "1 min", "1 min 5 s", "1 h", "2 h 5 min", "2 days",
    ]  # fmt: skip
    assert [parsed_ms(text, "--for") for text in ("250ms", "1.5s", "30m", "2h")] == [250, 1_500, 1_800_000, 7_200_000]
    with pytest.raises(UsageError):
        parsed_ms("1h30m", "--for")


# On a terminal -----------------------------------------------------------------------------------------------------


def seat(controller: Controller, side: str, root: Path) -> None:
    """Give the controller of a test the node file of one of the pair."""
    controller.node.write_text(node_file(root, side).read_text().replace('"state"', f'"{root / side / "state"}"')
                               .replace('"run"', f'"{root / side / "run"}"'))  # fmt: skip


def test_a_person_types_the_word(controller: Controller, tmp_path: Path) -> None:
    pair = Pair(tmp_path / "pair", "orders enabled no", until="60s")
    try:
        seat(controller, "a", tmp_path / "pair")
        screen = Screen(controller, "force-activate")
        screen.until("Type storage-a to go on: ")
        screen.type("storage-a\n")
        assert screen.end() == 0
        assert "Done: storage-a is MASTER" in screen.shown
        again = Screen(controller, "drill")
        again.until("No switchover from storage-a now:")
        assert again.end() == 1
    finally:
        pair.close()


def test_watching_a_switchover(controller: Controller, tmp_path: Path) -> None:
    pair = Pair(tmp_path / "pair")
    try:
        seat(controller, "b", tmp_path / "pair")
        screen = Screen(controller, "status", "--watch", NO_COLOR="1")
        screen.until("HA active: storage-b is BACKUP, storage-a is MASTER.")
        pair.happen(lambda world: inject(world, "switchover", ()))
        screen.until("HA active: storage-b is MASTER, storage-a is BACKUP.")
        screen.type("\x03")
        assert screen.end() == 130
    finally:
        pair.close()
