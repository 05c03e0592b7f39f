"""Pairs for plans: two revisions of one YAML tree, compiled for both controllers, and what each observes."""

from __future__ import annotations

from dataclasses import replace

from reconciler.agent.source.content import Content, compile_content
from reconciler.core.facts.state import Observed
from reconciler.core.planning.plan import Plan
from reconciler.core.planning.planner import make_plan
from reconciler.core.rollout.interruption import critical_resources, noticed_actions
from reconciler.core.rollout.pair_plan import PlannedSide, SwitchoverForecast
from reconciler.core.rollout.rollout_state import RolloutState, ServingRole
from tests.core.planning.worlds import bare, perform

OLD, NEW = "1" * 40, "2" * 40
FORECAST = SwitchoverForecast(
    (("release", 5_000), ("until the peer hears of it", 600), ("claim", 1_000), ("import", 60_000)), (412, 1_240)
)
PAIR = """\
apiVersion: hagit/v1
kind: Pair
metadata: {name: shelf}
spec: {a: {hostname: shelf-a}, b: {hostname: shelf-b}}
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: storage0}
spec:
  a: {match: {name: eth1}, address: 10.0.0.11/24}
  b: {match: {name: eth1}, address: 10.0.0.12/24}
  virtual: {address: 10.0.0.10/24, vhid: 20}
  critical: true
  failoverGroup: 1
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: mgmt0}
spec:
  a: {match: {name: eth0}, address: 10.1.0.11/24}
  b: {match: {name: eth0}, address: 10.1.0.12/24}
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: cross0}
spec:
  a: {match: {name: eth2}, address: 10.2.0.1/30}
  b: {match: {name: eth2}, address: 10.2.0.2/30}
  role: interlink
"""


def content_of(text: str, side: str) -> Content:
    return compile_content({"pair.yaml": text.encode()}, side)


def observed(text: str, side: str) -> Observed:
    """A controller on which a revision is in force."""
    fresh = bare()
    return perform(fresh, make_plan(content_of(text, side).desired, fresh, f"main@{OLD}"))


def planned(side: str, text: str, role: ServingRole, before: str = PAIR, **more: object) -> PlannedSide:
    """One controller on its way from `before` to `text`."""
    old, new = content_of(before, side), content_of(text, side)
    plan: Plan = make_plan(new.desired, observed(before, side), f"main@{NEW}")
    noticed = noticed_actions(plan, {*critical_resources(old.desired), *critical_resources(new.desired)})
    state = RolloutState(controller=side, wanted=NEW, applied=OLD, role=role, able=role is ServingRole.STANDBY)
    state = replace(state, hears=True, ready=role is ServingRole.ACTIVE, **more)  # type: ignore[arg-type]
    forecast = FORECAST if role is ServingRole.ACTIVE else SwitchoverForecast()
    return PlannedSide(state, plan, len(noticed), forecast)
