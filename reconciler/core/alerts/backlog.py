"""The backlog of alerts: which alerts each target has not received yet. Pure, in memory.

Drops duplicates, keeps a queue for each target, and replaces the oldest alerts of a full queue by a count. Every change
is a record, and replaying the records gives the same backlog. `system/alerts/outbox` stores the records.

There are two kinds of target. A STATE target (Alertmanager) receives the latest state of every condition, again and
again while it lasts. An EVENTS target (webhook, chat) receives every transition once, in order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias, cast

from reconciler.core.alerts.alert import Alert, AlertKind, AlertStatus, Severity, alert_from_document

#: At most this many alerts wait for one EVENTS target, and as many conditions are kept. Older ones are only counted.
ENTRY_COUNT_MAX: Final = 10_000

#: Ended and delivered conditions that are remembered, so that the same transition is not accepted twice.
SETTLED_COUNT_MAX: Final = 1_000

Record: TypeAlias = dict[str, object]


class TargetMode(StrEnum):
    """What a target receives: the state of every condition, or every transition."""

    STATE = "state"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class QueuedAlert:
    """One alert on its way. `number` rises with each alert and survives a restart.

    A negative number stands for that many dropped alerts.
    """

    number: int
    alert: Alert


class Backlog:
    """The alerts that targets have not received yet. `dropped`: how many were dropped, by target."""

    def __init__(self, entry_count_max: int = ENTRY_COUNT_MAX) -> None:
        self.targets: dict[str, TargetMode] = {}
        self.dropped: dict[str, int] = {}
        self._entry_count_max = entry_count_max
        self._number = 0
        self._queues: dict[str, OrderedDict[int, QueuedAlert]] = {}
        self._current: OrderedDict[str, QueuedAlert] = OrderedDict()
        self._undelivered: dict[str, set[str]] = {}
        self._finished: OrderedDict[str, float] = OrderedDict()
        self._announced: dict[str, dict[str, int]] = {}

    def configure(self, targets: Mapping[str, TargetMode]) -> bool:
        """Set the targets, and forget what waited for others. False when nothing changes."""
        if self.targets == dict(targets):
            return False
        self.targets = dict(targets)
        for known in (self._queues, self.dropped, self._announced):
            for name in [name for name in known if name not in targets]:
                del known[name]
        for name, mode in self.targets.items():
            if mode is TargetMode.EVENTS:
                self._queues.setdefault(name, OrderedDict())
        for identity in list(self._undelivered):
            self._undelivered[identity] &= self._names(TargetMode.STATE)
            self._finish_delivered(identity)
        return True

    def accept(self, alert: Alert) -> QueuedAlert | None:
        """Accept an alert; None when it is known already.

        The same transition with another text (a storm that grew) replaces the state for STATE targets and is no event.
        A lasting condition keeps its beginning: an agent that was killed and finds it again causes no event.
        """
        known = self._current.get(alert.identity)
        if known is not None and known.alert.status is AlertStatus.FIRING:
            alert = replace(alert, since_s=known.alert.since_s)
        if known is not None and known.alert.since_s == alert.since_s:
            # Alertmanager identifies an alert by its severity as well, so the severity stays until the condition ends.
            alert = replace(alert, severity=known.alert.severity)
        is_event = True
        if self._finished.get(alert.identity) == alert.since_s:
            return None
        if known is not None and known.alert.since_s == alert.since_s:
            if alert.status is known.alert.status:
                if alert == known.alert:
                    return None
                is_event = False
            elif alert.status is AlertStatus.FIRING:
                return None
        self._number += 1
        entry = QueuedAlert(self._number, alert)
        if is_event:
            for name in self._names(TargetMode.EVENTS):
                self._enqueue(name, entry)
        self._set_current(entry, self._names(TargetMode.STATE))
        return entry

    def mark_delivered(self, target: str, number: int, identity: str) -> None:
        """Record that the target has received the alert with this number and identity."""
        if number < 0:
            self.dropped[target] = max(0, self.dropped.get(target, 0) + number)
        elif target in self._queues:
            self._queues[target].pop(number, None)
        elif identity in self._undelivered and self._current[identity].number == number:
            self._undelivered[identity].discard(target)
            self._finish_delivered(identity)

    def drop(self, target: str, number: int) -> None:
        """Remove an alert that the target will not receive, and count it as dropped."""
        queue = self._queues.get(target, OrderedDict())
        if queue.pop(number, None) is not None:
            self.dropped[target] = self.dropped.get(target, 0) + 1

    def mark_announced(self, target: str, entry: QueuedAlert) -> None:
        """Remember that a STATE target knows a lasting condition. Not a record: after a restart it is sent again."""
        if entry.alert.identity in self._current:
            self._announced.setdefault(target, {})[entry.alert.identity] = entry.number

    def next_event(self, target: str) -> QueuedAlert | None:
        """The next alert of an EVENTS target: first the count of dropped alerts, then the oldest alert."""
        queue = self._queues.get(target)
        if not queue:
            return None
        oldest = next(iter(queue.values()))
        count = self.dropped.get(target, 0)
        return QueuedAlert(-count, _dropped_alert(count, oldest.alert)) if count else oldest

    def state_alerts(self, target: str) -> tuple[QueuedAlert, ...]:
        """The alerts for a STATE target: every lasting condition, and ended ones whose end it has not received."""
        if self.targets.get(target) is not TargetMode.STATE:
            return ()
        return tuple(
            entry
            for identity, entry in self._current.items()
            if entry.alert.status is AlertStatus.FIRING or target in self._undelivered.get(identity, ())
        )

    def firing(self) -> tuple[Alert, ...]:
        """The alerts of all lasting conditions, oldest first."""
        return tuple(e.alert for e in self._current.values() if e.alert.status is AlertStatus.FIRING)

    def pending_count(self, target: str) -> int:
        """How many alerts the target has not received yet."""
        if target in self._queues:
            return len(self._queues[target])
        announced = self._announced.get(target, {})
        return sum(announced.get(entry.alert.identity) != entry.number for entry in self.state_alerts(target))

    def size(self) -> int:
        """How many alerts a snapshot holds."""
        return len(self._current) + sum(len(queue) for queue in self._queues.values())

    def records(self) -> Iterator[Record]:
        """The whole backlog as records: replaying them gives it again."""
        yield {"targets": {name: mode.value for name, mode in self.targets.items()}}
        entries: dict[int, tuple[QueuedAlert, list[str]]] = {}
        for name, queue in self._queues.items():
            for entry in queue.values():
                entries.setdefault(entry.number, (entry, []))[1].append(name)
        for entry, names in sorted(entries.values(), key=lambda item: item[0].number):
            yield {"queued": entry.number, "for": names, "alert": entry.alert.document()}
        for identity, entry in self._current.items():
            owed = sorted(self._undelivered.get(identity, ()))
            yield {"standing": entry.number, "owed": owed, "alert": entry.alert.document()}
        for identity, since_s in self._finished.items():
            yield {"settled": identity, "since_s": since_s}
        yield {"number": self._number, "lost": dict(self.dropped)}

    def replay(self, record: Record) -> None:
        """Apply one record. Raises ValueError, KeyError or TypeError for an invalid one."""
        if "targets" in record:
            targets = cast("dict[str, str]", record["targets"])
            self.configure({name: TargetMode(mode) for name, mode in targets.items()})
        elif "put" in record:
            self._number = cast("int", record["put"]) - 1
            self.accept(_alert(record))
        elif "done" in record:
            self.mark_delivered(
                cast("str", record["target"]), cast("int", record["done"]), cast("str", record["identity"])
            )
        elif "gave_up" in record:
            self.drop(cast("str", record["target"]), cast("int", record["gave_up"]))
        elif "queued" in record:
            entry = QueuedAlert(cast("int", record["queued"]), _alert(record))
            for name in cast("list[str]", record["for"]):
                self._enqueue(name, entry)
        elif "standing" in record:
            entry = QueuedAlert(cast("int", record["standing"]), _alert(record))
            self._set_current(entry, set(cast("list[str]", record["owed"])))
        elif "settled" in record:
            self._finished[cast("str", record["settled"])] = cast("float", record["since_s"])
        else:
            self._number = cast("int", record["number"])
            self.dropped = {
                name: n for name, n in cast("dict[str, int]", record["lost"]).items() if name in self.targets
            }

    def _names(self, mode: TargetMode) -> set[str]:
        return {name for name, its in self.targets.items() if its is mode}

    def _enqueue(self, target: str, entry: QueuedAlert) -> None:
        queue = self._queues[target]
        queue[entry.number] = entry
        while len(queue) > self._entry_count_max:
            queue.popitem(last=False)
            self.dropped[target] = self.dropped.get(target, 0) + 1

    def _set_current(self, entry: QueuedAlert, owed: set[str]) -> None:
        identity = entry.alert.identity
        self._finished.pop(identity, None)
        self._current.pop(identity, None)
        self._current[identity] = entry
        if entry.alert.status is AlertStatus.RESOLVED:
            self._undelivered[identity] = owed
            self._finish_delivered(identity)
        else:
            self._undelivered.pop(identity, None)
        while len(self._current) > self._entry_count_max:
            self._forget(next(iter(self._current)))
            for name in self._names(TargetMode.STATE):
                self.dropped[name] = self.dropped.get(name, 0) + 1

    def _finish_delivered(self, identity: str) -> None:
        if self._undelivered[identity]:
            return
        self._finished[identity] = self._current[identity].alert.since_s
        self._forget(identity)
        while len(self._finished) > SETTLED_COUNT_MAX:
            self._finished.popitem(last=False)

    def _forget(self, identity: str) -> None:
        self._current.pop(identity, None)
        self._undelivered.pop(identity, None)
        for numbers in self._announced.values():
            numbers.pop(identity, None)


def _alert(record: Record) -> Alert:
    return alert_from_document(cast("dict[str, object]", record["alert"]))


def _dropped_alert(count: int, oldest: Alert) -> Alert:
    return Alert(
        pair=oldest.pair,
        controller=oldest.controller,
        kind=AlertKind.ALERTS_COLLAPSED,
        status=AlertStatus.FIRING,
        severity=Severity.WARNING,
        subject=f"{count} older alerts",
        summary=f"{count} older alerts could not be delivered here in time and were dropped.",
        since_s=oldest.since_s,
        remedy="hagit status",
    )
