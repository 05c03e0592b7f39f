"""The drift ledger: which differences are suspected or have fired, since when, and what has been said about them.

Decides the form of the ledger and of what it reports. Does not know when a difference becomes drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from reconciler.core.facts.codec import (
    fact_document,
    fact_from_document,
    origin_document,
    origin_from_document,
)
from reconciler.core.facts.difference import DifferenceKind
from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.fact_kind import Document
from reconciler.core.facts.state import DriftMode, Origin
from reconciler.core.planning.fact_words import fact_name, fact_value
from reconciler.errors import StateError, shape_defect

FORMAT: Final = "hagit.drift/1"


class DriftState(StrEnum):
    """SUSPECTED: seen in one look. FIRING: seen in two, and reported."""

    SUSPECTED = "suspected"
    FIRING = "firing"


@dataclass(frozen=True, slots=True)
class DriftEntry:
    """One difference that no unapplied revision explains.

    `since_s` is when it was first seen, in seconds of the caller's clock. `alert` is the alert that speaks for it,
    empty while suspected. `gone_since_s` is set while a flapping difference is absent but not yet resolved.
    """

    key: Key
    kind: DifferenceKind
    state: DriftState
    desired: Fact | None
    live: Fact | None
    why: str
    origin: Origin | None
    resource: str
    mode: DriftMode
    revision: str
    since_s: float
    alert: str = ""
    gone_since_s: float | None = None

    @property
    def is_over(self) -> bool:
        """It came and went several times and is absent now; it counts as resolved when it stays absent."""
        return self.gone_since_s is not None

    def __str__(self) -> str:
        """`Interface/storage0: mtu of eth1 is 1500, 9000 desired`; in the past tense while it is over."""
        fact = self.desired if self.desired is not None else self.live
        subject = f"{self.resource}: " if self.resource else ""
        if fact is None or self.kind is DifferenceKind.UNKNOWN:
            return f"{subject}{self.why}"
        be = "was" if self.is_over else "is"
        if self.kind is DifferenceKind.CHANGE and self.live is not None and self.desired is not None:
            told = f"{be} {fact_value(self.live)}, {fact_value(self.desired)} desired"
            return f"{subject}{fact_name(fact)} {told}"
        words = {
            DifferenceKind.ADD: f"{be} missing",
            DifferenceKind.REMOVE: f"{be} there, but not desired",
            DifferenceKind.FOREIGN: "was added by another program",
        }
        return f"{subject}{fact_name(fact)} {words.get(self.kind, self.why)}"


class TransitionKind(StrEnum):
    """What is reported: an alert begins, or ends. One alert begins and ends by turns, never twice alike."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Transition:
    """One alert begins or ends. `alert` names it; `count` differences stand behind it, the first few in `drifts`.

    `note` says why it ended when that is not simply that the difference is gone.
    """

    kind: TransitionKind
    alert: str
    at_s: float
    count: int
    drifts: tuple[DriftEntry, ...]
    note: str = ""

    def __str__(self) -> str:
        """The alert in a sentence."""
        first = "; ".join(str(drift) for drift in self.drifts)
        more = self.count - len(self.drifts)
        text = f"{self.count} differences at once: {first}" if self.count > 1 else first
        return text + (f"; and {more} more" if more > 0 else "") + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True, slots=True)
class Storm:
    """One alert for many differences: how many they were, and the first few of them."""

    count: int
    first: tuple[DriftEntry, ...]


@dataclass(frozen=True, slots=True)
class DriftLedger:
    """Everything drift detection remembers.

    `fired` holds the latest times at which each key fired, for telling flaps and storms. `number` names storms.
    """

    drifts: Mapping[Key, DriftEntry] = field(default_factory=dict)
    fired: Mapping[Key, tuple[float, ...]] = field(default_factory=dict)
    storms: Mapping[str, Storm] = field(default_factory=dict)
    number: int = 0

    def present(self) -> tuple[DriftEntry, ...]:
        """What has been reported and is there now, the oldest first."""
        return tuple(drift for drift in self.firing() if not drift.is_over)

    def firing(self) -> tuple[DriftEntry, ...]:
        """What has been reported and not resolved, the oldest first; a part of it may be over for the moment."""
        found = [drift for drift in self.drifts.values() if drift.state is DriftState.FIRING]
        return tuple(sorted(found, key=lambda drift: (drift.since_s, drift.key)))


def ledger_document(ledger: DriftLedger) -> Document:
    """The ledger as JSON-able data."""
    return {
        "format": FORMAT,
        "drifts": [_drift_document(ledger.drifts[key]) for key in sorted(ledger.drifts)],
        "fired": [[list(key), list(ledger.fired[key])] for key in sorted(ledger.fired)],
        "storms": {
            alert: {"count": storm.count, "first": [_drift_document(drift) for drift in storm.first]}
            for alert, storm in sorted(ledger.storms.items())
        },
        "number": ledger.number,
    }


def ledger_from_document(document: Document) -> DriftLedger:
    """The ledger of a document. Raises StateError when it is not one."""
    try:
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r}, {FORMAT!r} expected")
        drifts = [_drift(item) for item in document["drifts"]]
        return DriftLedger(
            drifts=MappingProxyType({drift.key: drift for drift in drifts}),
            fired=MappingProxyType({tuple(key): tuple(times) for key, times in document["fired"]}),
            storms=MappingProxyType(
                {
                    alert: Storm(int(storm["count"]), tuple(_drift(item) for item in storm["first"]))
                    for alert, storm in document["storms"].items()
                }
            ),
            number=int(document["number"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(
            f"the drift ledger is damaged: {shape_defect(error)}", remedy="remove it: drift is found anew"
        ) from error


def _drift_document(drift: DriftEntry) -> Document:
    return {
        "key": list(drift.key),
        "kind": drift.kind.value,
        "state": drift.state.value,
        "desired": None if drift.desired is None else fact_document(drift.desired),
        "live": None if drift.live is None else _plain(fact_document(drift.live)),
        "traits": list(getattr(drift.live, "traits", ())),
        "why": drift.why,
        "origin": None if drift.origin is None else origin_document(drift.origin),
        "resource": drift.resource,
        "mode": drift.mode.value,
        "revision": drift.revision,
        "since_s": drift.since_s,
        "alert": drift.alert,
        "gone_since_s": drift.gone_since_s,
    }


def _plain(document: Document) -> Document:
    """A fact without its traits, which a release that does not know them could not read; they stand beside it."""
    return {name: value for name, value in document.items() if name != "traits"}


def _drift(document: Any) -> DriftEntry:
    live = document["live"]
    if live is not None and document.get("traits"):
        live = live | {"traits": document["traits"]}
    return DriftEntry(
        key=tuple(document["key"]),
        kind=DifferenceKind(document["kind"]),
        state=DriftState(document["state"]),
        desired=None if document["desired"] is None else fact_from_document(document["desired"]),
        live=None if live is None else fact_from_document(live),
        why=document["why"],
        origin=None if document["origin"] is None else origin_from_document(document["origin"]),
        resource=document["resource"],
        mode=DriftMode(document["mode"]),
        revision=document["revision"],
        since_s=document["since_s"],
        alert=document["alert"],
        gone_since_s=document["gone_since_s"],
    )
