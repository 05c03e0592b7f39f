"""`hagit maintenance` against real core states behind a real control socket."""

from __future__ import annotations

from reconciler.system.control_protocol import ControlRequest, RequestKind
from tests.cli.simulated_pair import MakeOperator
from tests.wait import until


def test_maintenance_begins_and_ends(operator_of: MakeOperator) -> None:
    operator = operator_of()
    begun = operator.hagit("a", "maintenance", "--for", "2h")
    assert begun.code == 0
    assert "storage-b would still take over if it died" in begun.out
    assert operator.hagit("a", "status").out.startswith("HA administratively disabled: maintenance is in progress")
    assert operator.hagit("b", "maintenance").code == 0
    assert operator.pair.daemons["b"].asked[-1] == ControlRequest(RequestKind.MAINTENANCE, duration_ms=1_800_000)
    assert [operator.hagit(side, "maintenance", "--end").code for side in "ab"] == [0, 0]
    until(lambda: operator.hagit("a", "status").out.startswith("HA active"))
