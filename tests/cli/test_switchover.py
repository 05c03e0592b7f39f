"""`hagit switchover` against real core states behind a real control socket."""

from __future__ import annotations

import pytest

from reconciler.simulation.timed.faults import heal, inject
from reconciler.system.control_protocol import RequestKind
from tests.cli.simulated_pair import MakeOperator
from tests.standings import SWITCHOVER
from tests.wait import until


def test_a_plan_of_a_switchover(operator_of: MakeOperator) -> None:
    operator = operator_of()
    operator.pair.daemons["a"].changes = {"done": (SWITCHOVER,)}
    plan = operator.hagit("a", "switchover", "--plan")
    assert plan.code == 0
    assert plan.out.startswith("Switchover of tank: storage-a → storage-b\n  clients    wait ")
    assert "at most 1 min 14 s by the orders" in plan.out
    until(lambda: "wait about 1.2 s, as the last one took" in operator.hagit("a", "switchover", "--plan").out)
    for part in ("5 s       release", "8 s       claim", "1 min     import", "nothing reboots"):
        assert part in plan.out, plan.out
    assert not [one for one in operator.pair.daemons["a"].asked if one.kind is RequestKind.SWITCHOVER]


def test_a_switchover_is_done_and_measured(operator_of: MakeOperator) -> None:
    operator = operator_of()
    done = operator.hagit("a", "switchover")
    assert (done.code, done.err) == (0, "")
    assert "Done: storage-b is MASTER. Switchover, released here: served again after" in done.out
    resting = operator.hagit("a", "status").out
    assert "LOC_RESTING" in resting or resting.startswith("HA active"), resting
    until(lambda: operator.hagit("a", "status").out.startswith("HA active: storage-a is BACKUP, storage-b is MASTER."))
    until(lambda: operator.hagit("b", "switchover", "--plan").code == 0)
    back = operator.hagit("b", "switchover", "-o", "json")
    document = back.json()
    assert (back.code, document["outcome"]) == (0, "done")
    assert 0 < document["failover"]["total_ms"] < 74_000
    again = until(lambda: plan if (plan := operator.hagit("a", "switchover", "--plan")).code == 0 else None).out
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
    operator_of: MakeOperator, story: tuple[str, ...], side: str, says: list[str]
) -> None:
    operator = operator_of(*story)
    for words in (("switchover",), ("switchover", "--plan")):
        refused = operator.hagit(side, *words)
        assert refused.code == 1
        for what in says:
            assert what in refused.out, refused.out
    document = operator.hagit(side, "switchover", "--plan", "-o", "json").json()
    assert document["ready"] is False
    assert document["obstacles"]


def test_a_switchover_that_the_peer_does_not_take(operator_of: MakeOperator) -> None:
    operator = operator_of()
    operator.pair.happen(lambda world: inject(world, "claim-hangs", ("b",)))
    operator.pair.happen(lambda world: inject(world, "import-refused", ("b",)))
    failed = operator.hagit("a", "switchover", "--timeout", "20s")
    assert failed.code in (1, 3), failed
    assert "hagit: " in failed.err


def test_a_switchover_that_takes_too_long(operator_of: MakeOperator) -> None:
    operator = operator_of()
    operator.pair.happen(lambda world: inject(world, "export-hangs", ("a",)))
    late = operator.hagit("a", "switchover", "--timeout", "30ms")
    assert late.code == 3
    assert "not done within 30 ms" in late.err
    assert "hagit status --watch" in late.err


def test_a_switchover_whose_release_hangs_fails(operator_of: MakeOperator) -> None:
    operator = operator_of()
    operator.pair.happen(lambda world: inject(world, "reset-fails", ("a",)))
    operator.pair.happen(lambda world: inject(world, "export-hangs", ("a",)))
    failed = operator.hagit("a", "switchover", "--timeout", "20s")
    assert failed.code == 1
    assert "it failed: storage-a is ERROR (halted): the export made no progress for too long" in failed.err


def test_a_switchover_that_a_program_blocks_is_given_up(operator_of: MakeOperator) -> None:
    operator = operator_of()
    operator.pair.happen(lambda world: inject(world, "export-used", ("a",)))
    failed = operator.hagit("a", "switchover")
    assert failed.code == 1
    assert "it failed: storage-a is MASTER (active)" in failed.err
    assert "SWITCHOVER_GIVEN_UP" in failed.err
    assert "a program uses a filesystem here" in failed.err
    operator.pair.happen(lambda world: heal(world, "export-used", ("a",)))
    done = operator.hagit("a", "switchover")
    assert done.code == 0, done.err
