"""What the agent remembers from one reconciliation to the next."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.core.alerts.alert import Alert
from reconciler.core.alerts.conditions import Conditions
from reconciler.core.facts.state import Observed, Placement
from reconciler.core.planning.drift_state import DriftLedger
from reconciler.core.planning.plan import Foreign, HeldChange, Plan
from reconciler.core.planning.retries import RETRY_S_MAX, RETRY_S_MIN, RefusedActions
from reconciler.errors import HagitError


@dataclass(slots=True)
class AgentMemory:
    """The state between two reconciliations. Only `ledger` and `conditions` must survive a restart.

    `unconfirmed`: drift that an earlier agent reported, by identity, until an observation confirms or ends it. `holds`
    and `foreign` are those of the newest plan, which was made from the observation `planned`. `refused_actions`:
    refused actions of the revision in force. `failed`: the commit whose apply failed, `failure` its error.
    """

    ledger: DriftLedger
    conditions: Conditions
    unconfirmed: dict[str, Alert] = field(default_factory=dict)
    holds: tuple[HeldChange, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    planned: Observed | None = None
    refused_actions: RefusedActions = field(default_factory=RefusedActions)
    failed: str = ""
    failure: HagitError | None = None
    retry_s: float = RETRY_S_MIN
    retry_at_s: float = 0.0
    placement: Placement = Placement.UNWATCHED

    def record_plan(self, plan: Plan, observed: Observed) -> None:
        """Remember holds and foreign facts of the newest plan."""
        self.holds, self.foreign, self.planned = plan.holds, plan.foreign, observed

    def all_holds(self) -> tuple[HeldChange, ...]:
        """All present holds: by a gate of the plan, or after a refusal."""
        refused = self.refused_actions.holds
        keys = {hold.key for hold in refused}
        return (*(hold for hold in self.holds if hold.key not in keys), *refused)

    def record_failure(self, commit: str, error: HagitError | None, now_s: float) -> None:
        """Remember that the apply of a commit failed, and when it may be tried again. `error` None: at once."""
        if self.failed != commit:
            self.retry_s = RETRY_S_MIN
        self.failed, self.failure = commit, error
        self.retry_at_s = now_s + (self.retry_s if error is not None else 0.0)
        self.retry_s = min(2 * self.retry_s, RETRY_S_MAX)
