"""Actions that were refused: what each of them met, and when it is tried again.

Decides the moment of the next try: soon after something observed has changed, and in any case after a wait that doubles
up to a limit. Does not know how an action is done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from reconciler.core.facts.fact import Key
from reconciler.core.facts.state import Observed
from reconciler.core.planning.plan import Hold

#: After a refusal the next try waits, twice as long each time.
RETRY_S_MIN: Final = 1.0
RETRY_S_MAX: Final = 300.0
#: Something observed has changed: the next try comes no sooner than this after the last one, and no sooner than after
#: a tenth of the present wait, so that a controller on which something changes all the time does nothing else.
CHANGED_S_MIN: Final = 2.0


@dataclass(frozen=True, slots=True)
class RefusedAction:
    """One action that was refused. `met` is the first look after the try; None until there was one."""

    hold: Hold
    tried_s: float
    wait_s: float
    met: Observed | None = None


class RefusedActions:
    """The refused actions by the key of their fact. Times are those of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._trials: dict[Key, RefusedAction] = {}

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Why each of them was not done."""
        return tuple(trial.hold for trial in self._trials.values())

    @property
    def keys(self) -> frozenset[Key]:
        """The facts whose actions were refused."""
        return frozenset(self._trials)

    def due(self, observed: Observed, now_s: float) -> frozenset[Key]:
        """The facts whose actions may be tried now."""
        changed: dict[int, bool] = {}
        found = set()
        for key, trial in self._trials.items():
            if now_s >= trial.tried_s + trial.wait_s:
                found.add(key)
            elif trial.met is not None and now_s >= trial.tried_s + max(CHANGED_S_MIN, trial.wait_s / 10):
                # All that were tried together met the same look, which is compared once.
                name = id(trial.met)
                if name not in changed:
                    changed[name] = trial.met != observed
                if changed[name]:
                    found.add(key)
        return frozenset(found)

    def next_s(self, now_s: float) -> float | None:
        """Seconds until the next try that only the clock brings; None when nothing was refused."""
        return min((max(0.0, trial.tried_s + trial.wait_s - now_s) for trial in self._trials.values()), default=None)

    def note(self, tried: Collection[Key], held: Iterable[Hold], now_s: float) -> None:
        """Actions about the facts `tried` were tried, and `held` of them refused."""
        before = {key: self._trials.pop(key) for key in tried if key in self._trials}
        for hold in held:
            old = before.get(hold.key) or self._trials.get(hold.key)
            wait_s = min(2 * old.wait_s, RETRY_S_MAX) if old is not None else RETRY_S_MIN
            self._trials[hold.key] = RefusedAction(hold, now_s, wait_s)

    def meet(self, observed: Observed) -> None:
        """A look, which is what those that were just tried have met."""
        for key, trial in self._trials.items():
            if trial.met is None:
                self._trials[key] = replace(trial, met=observed)

    def keep(self, wanted: Collection[Key]) -> None:
        """Forget what no plan asks for any more."""
        for key in [key for key in self._trials if key not in wanted]:
            del self._trials[key]
