"""Plans of pairs as people see them; `--rewrite-goldens` writes them to `plans/`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.planning.plan_document import plan_document, plan_from_document
from reconciler.core.rollout.next_step import refused_step
from reconciler.core.rollout.pair_document import pair_document, saved_pair
from reconciler.core.rollout.pair_plan import PairPlan, PairStepKind, pair_plan
from reconciler.core.rollout.pair_plan_text import render_pair_plan
from reconciler.core.rollout.rollout_state import ServingRole
from reconciler.errors import UsageError
from tests.core.rollout.pairs import PAIR, planned

ACTIVE, STANDBY, IDLE = ServingRole.ACTIVE, ServingRole.STANDBY, ServingRole.IDLE
JUMBO = PAIR.replace("failoverGroup: 1\n", "failoverGroup: 1\n  mtu: 9000\n")
MGMT = PAIR.replace("10.1.0.1", "10.1.0.2")
CRITICAL_ADDRESS = PAIR.replace("10.0.0.12/24", "10.0.0.13/24").replace("10.0.0.11/24", "10.0.0.14/24")


def both(text: str, a: ServingRole = ACTIVE, b: ServingRole = STANDBY) -> PairPlan:
    return pair_plan(planned("a", text, a), planned("b", text, b))


def plans() -> dict[str, PairPlan]:
    refusal = refused_step("b", "serial.yaml:3:5: this is another machine")
    disabled = pair_plan(planned("a", JUMBO, ACTIVE), planned("b", JUMBO, STANDBY, able=False))
    away = ["b does not answer over cross0 (10.2.0.2): no route to host"]
    return {
        "switchover": both(JUMBO),
        "switchover_from_b": both(JUMBO, STANDBY, ACTIVE),
        "in_place": both(MGMT),
        "address_of_a_critical_interface": both(CRITICAL_ADDRESS),
        "nothing": both(PAIR),
        "no_failover": both(JUMBO, IDLE, IDLE),
        "peer_cannot_take_over": disabled,
        "peer_away": pair_plan(planned("a", MGMT, ACTIVE), None, away),
        "peer_away_and_clients": pair_plan(planned("a", JUMBO, ACTIVE), None, away),
        "peer_refuses": pair_plan(planned("a", JUMBO, ACTIVE), None, refusal=refusal),
        "both_active": both(JUMBO, ACTIVE, ACTIVE),
    }


@pytest.mark.parametrize("name", plans())
def test_plan_on_the_screen(name: str, golden: Callable[[Path, str], None]) -> None:
    text = render_pair_plan(plans()[name], color=False, width=100)
    golden(Path(__file__).parent / "plans" / f"{name}.txt", text + "\n")


def test_the_order_does_not_depend_on_who_is_asked() -> None:
    for text in (JUMBO, MGMT, CRITICAL_ADDRESS):
        a, b = planned("a", text, ACTIVE), planned("b", text, STANDBY)
        assert pair_plan(a, b) == pair_plan(b, a)


@pytest.mark.parametrize("text", [JUMBO, CRITICAL_ADDRESS])
def test_one_switchover_at_most_and_the_serving_one_last(text: str) -> None:
    steps = both(text).steps
    assert [(step.kind, step.controller, step.role) for step in steps] == [
        (PairStepKind.APPLY, "b", STANDBY),
        (PairStepKind.SWITCHOVER, "a", ACTIVE),
        (PairStepKind.APPLY, "a", STANDBY),
    ]
    assert sum(ms for _, ms in steps[1].parts) == both(text).interruption_ms


def test_the_document_is_a_plan_and_is_read_again() -> None:
    plan = both(JUMBO)
    document = json.loads(json.dumps(pair_document("a", plan)))
    own = plan.side("a")
    assert own is not None
    assert plan_from_document(document) == own.plan
    saved = saved_pair(document)
    assert saved is not None
    assert saved.plans == {side.state.controller: side.plan for side in plan.sides}
    assert saved.roles == {"a": "active", "b": "standby"}
    assert saved_pair(plan_document(own.plan)) is None
    for wrong in ({"format": "hagit.pair-plan/9"}, [], {**document["pair"], "peer": {"format": 1}}):
        with pytest.raises(UsageError):
            saved_pair({**document, "pair": wrong})
