"""Refused actions and when each is tried again.

The next try comes soon after an observed change, and in any case after a wait that doubles up to a limit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from reconciler.core.facts.fact import Key
from reconciler.core.facts.state import Observed
from reconciler.core.planning.plan import HeldChange

#: Wait after a refusal; it doubles with each one.
RETRY_S_MIN: Final = 1.0
RETRY_S_MAX: Final = 300.0
#: After an observed change: earliest next try after the last one. A tenth of the present wait passes as well, so that a
#: controller on which something changes all the time is not busy with retries.
CHANGED_S_MIN: Final = 2.0


@dataclass(frozen=True, slots=True)
class RefusedAction:
    """One refused action. `met`: the first observation after the try, None before it."""

    hold: HeldChange
    tried_s: float
    wait_s: float
    met: Observed | None = None


class RefusedActions:
    """The refused actions by the key of their fact. Times are those of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._actions: dict[Key, RefusedAction] = {}

    @property
    def holds(self) -> tuple[HeldChange, ...]:
        """Why each of them was not done."""
        return tuple(action.hold for action in self._actions.values())

    @property
    def keys(self) -> frozenset[Key]:
        """The facts whose actions were refused."""
        return frozenset(self._actions)

    def due(self, observed: Observed, now_s: float) -> frozenset[Key]:
        """The facts whose actions may be tried now."""
        changed: dict[int, bool] = {}
        found = set()
        for key, action in self._actions.items():
            if now_s >= action.tried_s + action.wait_s:
                found.add(key)
            elif action.met is not None and now_s >= action.tried_s + max(CHANGED_S_MIN, action.wait_s / 10):
                # Actions of one try have the same observation: compare it once.
                name = id(action.met)
                if name not in changed:
                    changed[name] = action.met != observed
                if changed[name]:
                    found.add(key)
        return frozenset(found)

    def next_s(self, now_s: float) -> float | None:
        """Seconds until the next try by time alone; None when no action was refused."""
        return min(
            (max(0.0, action.tried_s + action.wait_s - now_s) for action in self._actions.values()), default=None
        )

    def record(self, tried: Collection[Key], held: Iterable[HeldChange], now_s: float) -> None:
        """Record that actions about the facts `tried` were tried, and that those in `held` were refused."""
        before = {key: self._actions.pop(key) for key in tried if key in self._actions}
        for hold in held:
            old = before.get(hold.key) or self._actions.get(hold.key)
            wait_s = min(2 * old.wait_s, RETRY_S_MAX) if old is not None else RETRY_S_MIN
            self._actions[hold.key] = RefusedAction(hold, now_s, wait_s)

    def observe(self, observed: Observed) -> None:
        """Record the first observation after the last try."""
        for key, action in self._actions.items():
            if action.met is None:
                self._actions[key] = replace(action, met=observed)

    def retain(self, wanted: Collection[Key]) -> None:
        """Forget the actions that no plan contains any more."""
        for key in [key for key in self._actions if key not in wanted]:
            del self._actions[key]
