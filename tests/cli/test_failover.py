"""`hagit failover` against real core states, and the change of YAML that it shows."""

from __future__ import annotations

from reconciler.core.status.watchdog import OverrideStatus
from reconciler.system.control_protocol import ControlRequest, RequestKind
from tests.cli.simulated_pair import MakeOperator
from tests.wait import until


def test_an_override_and_its_end(operator_of: MakeOperator) -> None:
    operator = operator_of()
    half = operator.pair.daemons["a"]
    assert operator.hagit("a", "failover", "disable", "--for", "2h").code == 0
    assert half.asked[-1] == ControlRequest(RequestKind.OVERRIDE, duration_ms=7_200_000)
    half.changes = {"override": OverrideStatus(enabled=False, left_ms=7_000_000)}
    until(lambda: "override    failover disabled by a person, 1 h 56 min left" in operator.hagit("a", "status").out)
    assert operator.hagit("a", "failover", "enable").code == 0
    assert half.asked[-1] == ControlRequest(RequestKind.OVERRIDE, end=True)


def test_failover_is_configuration(operator_of: MakeOperator) -> None:
    operator = operator_of()
    told_ = operator.hagit("a", "failover", "disable")
    assert told_.code == 1
    for words in ("Nothing was changed", "kind: Failover", "    enabled: false", "--for 2h", "git commit"):
        assert words in told_.out
    assert max(map(len, told_.out.splitlines())) <= 80
    already = operator.hagit("a", "failover", "enable")
    assert (already.code, already.out) == (0, "Nothing to do: failover is enabled by the orders (generation 1).\n")
    assert operator.pair.daemons["a"].asked == []
