"""Drift: differences that no unapplied revision explains, seen in two looks, reported once and resolved once.

Decides when a difference fires and when it is over, collapses many at once into one alert, and lets one that keeps
coming back fire only once. What cannot be told at present neither fires nor resolves. Does not know clocks or alerts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from reconciler.core.facts.difference import Difference, DifferenceKind, differences
from reconciler.core.facts.fact import Key, Link, Route
from reconciler.core.facts.state import Desired, DriftMode, DriftPolicy, Observed, Unknown
from reconciler.core.facts.storage import STORAGE_WORDS, Dataset, PoolProperty, Property, rests_on
from reconciler.core.planning.drift_state import DriftEntry, DriftLedger, DriftState, Storm, Transition, TransitionKind
from reconciler.core.planning.nic_match import bind, links_of
from reconciler.core.planning.plan import Gate

#: How many differences one alert names.
NAMED_MAX: Final = 5

#: An empty ledger: nothing has been seen yet.
NO_DRIFT: Final = DriftLedger()


@dataclass(frozen=True, slots=True)
class DriftRules:
    """Limits: more than `storm_max` alerts within `storm_window_s` become one; a key that fired `flap_max` times
    within `flap_window_s` is resolved only after it was absent for `quiet_s`."""

    storm_max: int = 20
    storm_window_s: float = 10.0
    flap_max: int = 3
    flap_window_s: float = 600.0
    quiet_s: float = 120.0


@dataclass(frozen=True, slots=True)
class DriftLook:
    """One look, as drift detection takes it.

    Nothing is concluded about keys in `covered`, under `unknown`, or of resources in `unclear` (NIC not found).
    """

    differences: tuple[Difference, ...]
    unknown: tuple[Unknown, ...] = ()
    covered: frozenset[Key] = frozenset()
    unclear: frozenset[str] = frozenset()

    def is_unclear(self, drift: DriftEntry) -> bool:
        """True when this look does not tell whether `drift` is still there."""
        if drift.key in self.covered or any(part.covers(drift.key) for part in self.unknown):
            return True
        return drift.resource in self.unclear and drift.key[0] != "nic"


def see(desired: Desired, observed: Observed) -> DriftLook:
    """All differences of one look. A NIC that is not found is one; what rests on a missing link is not another."""
    bound = bind(desired, observed)
    found: list[Difference] = []
    covered: set[Key] = set()
    all_found = differences(bound.desired, observed, bound.spared)
    missing = {item.key[1] for item in all_found if item.kind is DifferenceKind.ADD and isinstance(item.desired, Link)}
    absent = {item.key for item in all_found if item.kind is DifferenceKind.ADD and item.key[0] in STORAGE_WORDS}
    for item in all_found:
        if item.kind is DifferenceKind.LEFT:
            continue
        if (
            item.kind is DifferenceKind.UNKNOWN
            or _is_inside(item, absent)
            or (missing and item.desired is not None and _rests_on(item, missing))
        ):
            covered.add(item.key)
        else:
            found.append(item)
    unclear: set[str] = set()
    for hold in bound.holds:
        if hold.key[0] == "link":
            unclear.add(hold.resource)
        covered.add(hold.key)
        if hold.gate is Gate.NIC:
            key = ("nic", hold.key[1])
            found.append(Difference(key, DifferenceKind.ADD, None, None, hold.why, hold.origin, hold.resource))
        elif hold.gate is Gate.UNKNOWN:
            covered.add(("nic", hold.key[1]))
    return DriftLook(tuple(found), observed.unknown, frozenset(covered), frozenset(unclear))


def _is_inside(item: Difference, absent: set[Key]) -> bool:
    """Whether something is missing with the pool or dataset that it belongs to."""
    fact = item.desired
    return isinstance(fact, PoolProperty | Dataset | Property) and rests_on(fact) in absent


def _rests_on(item: Difference, missing: set[str]) -> bool:
    assert item.desired is not None
    if isinstance(item.desired, Link):
        return item.desired.parent in missing
    if isinstance(item.desired, Route) and item.desired.link is None:
        return False
    return any(link in missing for link in links_of(item.desired))


def drift_step(
    ledger: DriftLedger,
    look: DriftLook,
    *,
    now_s: float,
    revision: str,
    policy: DriftPolicy,
    explained: bool | frozenset[Key] = False,
    rules: DriftRules = DriftRules(),
) -> tuple[DriftLedger, tuple[Transition, ...]]:
    """One look later. `explained` are the keys that an unapplied revision will change, or True for all.

    An explained difference is no drift: it is not entered, and one that fired already rests as it is.
    """
    drifts: dict[Key, DriftEntry] = {}
    confirmed: list[DriftEntry] = []
    ended: list[tuple[DriftEntry, str]] = []
    present = {item.key: item for item in look.differences}
    for key, item in present.items():
        old = ledger.drifts.get(key)
        fired_before = old is not None and old.state is DriftState.FIRING
        if policy.mode(item.resource) is DriftMode.IGNORE:
            if fired_before and old is not None:
                ended.append((old, "ignored now"))
            continue
        if explained is True or (explained and key in explained):
            if fired_before and old is not None:
                drifts[key] = old
            continue
        drift = _updated(old, item, policy.mode(item.resource), now_s, revision)
        drifts[key] = drift
        if old is not None and not fired_before:
            confirmed.append(drift)
    for key, old in ledger.drifts.items():
        if key in present:
            continue
        if look.is_unclear(old):
            drifts[key] = old
        elif old.state is DriftState.FIRING:
            waiting = _quiet(old, ledger, now_s, rules)
            if waiting is not None:
                drifts[key] = waiting
            else:
                ended.append((old, ""))
    return _report(ledger, drifts, confirmed, ended, now_s, rules)


def _updated(old: DriftEntry | None, item: Difference, mode: DriftMode, now_s: float, revision: str) -> DriftEntry:
    """The entry of a difference that is present."""
    if old is None:
        return DriftEntry(
            key=item.key,
            kind=item.kind,
            state=DriftState.SUSPECTED,
            desired=item.desired,
            live=item.observed,
            why=item.why,
            origin=item.origin,
            resource=item.resource,
            mode=mode,
            revision=revision,
            since_s=now_s,
        )
    return replace(
        old,
        kind=item.kind,
        desired=item.desired,
        live=item.observed,
        why=item.why,
        origin=item.origin,
        resource=item.resource,
        mode=mode,
        gone_since_s=None,
    )


def _quiet(old: DriftEntry, ledger: DriftLedger, now_s: float, rules: DriftRules) -> DriftEntry | None:
    """The entry of a flapping difference that is absent for too short a time to call it over, or None."""
    recent = [at_s for at_s in ledger.fired.get(old.key, ()) if 0 <= now_s - at_s < rules.flap_window_s]
    if old.gone_since_s is None and len(recent) < rules.flap_max:
        return None
    # A wall clock that was set back must not keep an alert until the clock is there again.
    since_s = now_s if old.gone_since_s is None else min(old.gone_since_s, now_s)
    return None if now_s - since_s >= rules.quiet_s else replace(old, gone_since_s=since_s)


def _report(
    ledger: DriftLedger,
    drifts: dict[Key, DriftEntry],
    confirmed: list[DriftEntry],
    ended: Iterable[tuple[DriftEntry, str]],
    now_s: float,
    rules: DriftRules,
) -> tuple[DriftLedger, tuple[Transition, ...]]:
    """Say what has begun and ended, each once, and remember having said it."""
    storms, number = dict(ledger.storms), ledger.number
    transitions: list[Transition] = []
    for drift, note in ended:
        if drift.alert not in storms:
            transitions.append(Transition(TransitionKind.RESOLVED, drift.alert, now_s, 1, (drift,), note))
    alive = {drift.alert for drift in drifts.values() if drift.alert}
    for alert in [alert for alert in storms if alert not in alive]:
        storm = storms.pop(alert)
        transitions.append(Transition(TransitionKind.RESOLVED, alert, now_s, storm.count, storm.first))
    recent = sum(1 for times in ledger.fired.values() for at_s in times if 0 <= now_s - at_s < rules.storm_window_s)
    if confirmed and recent + len(confirmed) > rules.storm_max:
        number += 1
        alert = f"drift-storm/{number}"
        confirmed = [replace(drift, state=DriftState.FIRING, alert=alert) for drift in confirmed]
        storms[alert] = Storm(len(confirmed), tuple(confirmed[:NAMED_MAX]))
        transitions.append(
            Transition(TransitionKind.FIRING, alert, now_s, len(confirmed), tuple(confirmed[:NAMED_MAX]))
        )
    else:
        confirmed = [
            replace(drift, state=DriftState.FIRING, alert="drift/" + "/".join(drift.key)) for drift in confirmed
        ]
        transitions += [Transition(TransitionKind.FIRING, drift.alert, now_s, 1, (drift,)) for drift in confirmed]
    drifts.update({drift.key: drift for drift in confirmed})
    fired = _fired(ledger, confirmed, now_s, rules)
    return DriftLedger(MappingProxyType(drifts), MappingProxyType(fired), MappingProxyType(storms), number), tuple(
        transitions
    )


def _fired(
    ledger: DriftLedger, confirmed: Iterable[DriftEntry], now_s: float, rules: DriftRules
) -> dict[Key, tuple[float, ...]]:
    """When each key fired lately; what is too old to matter is forgotten."""
    kept_s = max(rules.flap_window_s, rules.storm_window_s)
    fired: dict[Key, tuple[float, ...]] = {}
    for key, times in ledger.fired.items():
        recent = tuple(at_s for at_s in times if 0 <= now_s - at_s < kept_s)
        if recent:
            fired[key] = recent
    for drift in confirmed:
        fired[drift.key] = (*fired.get(drift.key, ()), now_s)[-rules.flap_max :]
    return fired
