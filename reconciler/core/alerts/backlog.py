"""What each target of alerts still has to hear, in memory.

Decides which news is new, what is owed to whom and what is collapsed when there is too much. Every change follows from
the records alone, so replaying them gives the same backlog. Does not know files, threads, clocks or the network.

There are two kinds of target. A STATE target (Alertmanager) hears the latest state of every matter, again and again
while it stands. An EVENTS target (webhook, chat) hears every piece of news once, in the order it happened.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias, cast

from reconciler.core.alerts.alert import Alert, AlertKind, AlertStatus, Severity, alert_from_document

#: Pieces of news that wait for one EVENTS target, and matters that stand; the oldest beyond it are counted, not kept.
ENTRY_COUNT_MAX: Final = 10_000

#: Matters that are over and told, remembered so that the same news is not taken twice.
SETTLED_COUNT_MAX: Final = 1_000

Record: TypeAlias = dict[str, object]


class TargetMode(StrEnum):
    """What a target wants to hear."""

    STATE = "state"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class QueuedAlert:
    """One piece of news on its way. `number` rises with each and survives a restart.

    A negative number stands for that many entries that were collapsed.
    """

    number: int
    alert: Alert


class Backlog:
    """See the module."""

    def __init__(self, entry_count_max: int = ENTRY_COUNT_MAX) -> None:
        self.targets: dict[str, TargetMode] = {}
        self.lost: dict[str, int] = {}
        self._entry_count_max = entry_count_max
        self._number = 0
        self._queues: dict[str, OrderedDict[int, QueuedAlert]] = {}
        self._standing: OrderedDict[str, QueuedAlert] = OrderedDict()
        self._owed: dict[str, set[str]] = {}
        self._settled: OrderedDict[str, float] = OrderedDict()
        self._told: dict[str, dict[str, int]] = {}

    def configure(self, targets: Mapping[str, TargetMode]) -> bool:
        """From now on there are these targets; what waited for others is forgotten. False when nothing changes."""
        if self.targets == dict(targets):
            return False
        self.targets = dict(targets)
        for known in (self._queues, self.lost, self._told):
            for name in [name for name in known if name not in targets]:
                del known[name]
        for name, mode in self.targets.items():
            if mode is TargetMode.EVENTS:
                self._queues.setdefault(name, OrderedDict())
        for identity in list(self._owed):
            self._owed[identity] &= self._names(TargetMode.STATE)
            self._settle(identity)
        return True

    def accept(self, alert: Alert) -> QueuedAlert | None:
        """Take a piece of news; None when it is known already.

        The same news with other words (a storm that grew) replaces what STATE targets hear and is no event. What stands
        began once: an agent that found it anew, because it was killed before it could remember it, tells nothing new.
        """
        known = self._standing.get(alert.identity)
        if known is not None and known.alert.status is AlertStatus.FIRING:
            alert = replace(alert, since_s=known.alert.since_s)
        if known is not None and known.alert.since_s == alert.since_s:
            # Alertmanager identifies an alert by its severity as well: it stays as it was until the matter is over.
            alert = replace(alert, severity=known.alert.severity)
        news = True
        if self._settled.get(alert.identity) == alert.since_s:
            return None
        if known is not None and known.alert.since_s == alert.since_s:
            if alert.status is known.alert.status:
                if alert == known.alert:
                    return None
                news = False
            elif alert.status is AlertStatus.FIRING:
                return None
        self._number += 1
        entry = QueuedAlert(self._number, alert)
        if news:
            for name in self._names(TargetMode.EVENTS):
                self._enqueue(name, entry)
        self._stand(entry, self._names(TargetMode.STATE))
        return entry

    def done(self, target: str, number: int, identity: str) -> None:
        """The target has heard the entry with this number, which is about this matter."""
        if number < 0:
            self.lost[target] = max(0, self.lost.get(target, 0) + number)
        elif target in self._queues:
            self._queues[target].pop(number, None)
        elif identity in self._owed and self._standing[identity].number == number:
            self._owed[identity].discard(target)
            self._settle(identity)

    def give_up(self, target: str, number: int) -> None:
        """The target will not take this entry: it is counted as collapsed."""
        queue = self._queues.get(target, OrderedDict())
        if queue.pop(number, None) is not None:
            self.lost[target] = self.lost.get(target, 0) + 1

    def told(self, target: str, entry: QueuedAlert) -> None:
        """A STATE target heard that a matter stands. Not recorded: after a restart it is told again."""
        if entry.alert.identity in self._standing:
            self._told.setdefault(target, {})[entry.alert.identity] = entry.number

    def head(self, target: str) -> QueuedAlert | None:
        """What an EVENTS target hears next: first how much was collapsed, then the oldest news."""
        queue = self._queues.get(target)
        if not queue:
            return None
        oldest = next(iter(queue.values()))
        count = self.lost.get(target, 0)
        return QueuedAlert(-count, _collapsed(count, oldest.alert)) if count else oldest

    def standing(self, target: str) -> tuple[QueuedAlert, ...]:
        """What a STATE target hears: every matter that stands, and those that are over and that it was not told of."""
        if self.targets.get(target) is not TargetMode.STATE:
            return ()
        return tuple(
            entry
            for identity, entry in self._standing.items()
            if entry.alert.status is AlertStatus.FIRING or target in self._owed.get(identity, ())
        )

    def firing(self) -> tuple[Alert, ...]:
        """Every matter that stands, oldest first."""
        return tuple(e.alert for e in self._standing.values() if e.alert.status is AlertStatus.FIRING)

    def waiting(self, target: str) -> int:
        """How many pieces of news the target has not taken yet."""
        if target in self._queues:
            return len(self._queues[target])
        told = self._told.get(target, {})
        return sum(told.get(entry.alert.identity) != entry.number for entry in self.standing(target))

    def size(self) -> int:
        """How many entries a snapshot has."""
        return len(self._standing) + sum(len(queue) for queue in self._queues.values())

    def records(self) -> Iterator[Record]:
        """The whole backlog as records: replaying them gives it again."""
        yield {"targets": {name: mode.value for name, mode in self.targets.items()}}
        entries: dict[int, tuple[QueuedAlert, list[str]]] = {}
        for name, queue in self._queues.items():
            for entry in queue.values():
                entries.setdefault(entry.number, (entry, []))[1].append(name)
        for entry, names in sorted(entries.values(), key=lambda item: item[0].number):
            yield {"queued": entry.number, "for": names, "alert": entry.alert.document()}
        for identity, entry in self._standing.items():
            owed = sorted(self._owed.get(identity, ()))
            yield {"standing": entry.number, "owed": owed, "alert": entry.alert.document()}
        for identity, since_s in self._settled.items():
            yield {"settled": identity, "since_s": since_s}
        yield {"number": self._number, "lost": dict(self.lost)}

    def replay(self, record: Record) -> None:
        """Do again what a record says. Raises ValueError, KeyError or TypeError for one that makes no sense."""
        if "targets" in record:
            targets = cast("dict[str, str]", record["targets"])
            self.configure({name: TargetMode(mode) for name, mode in targets.items()})
        elif "put" in record:
            self._number = cast("int", record["put"]) - 1
            self.accept(_alert(record))
        elif "done" in record:
            self.done(cast("str", record["target"]), cast("int", record["done"]), cast("str", record["identity"]))
        elif "gave_up" in record:
            self.give_up(cast("str", record["target"]), cast("int", record["gave_up"]))
        elif "queued" in record:
            entry = QueuedAlert(cast("int", record["queued"]), _alert(record))
            for name in cast("list[str]", record["for"]):
                self._enqueue(name, entry)
        elif "standing" in record:
            entry = QueuedAlert(cast("int", record["standing"]), _alert(record))
            self._stand(entry, set(cast("list[str]", record["owed"])))
        elif "settled" in record:
            self._settled[cast("str", record["settled"])] = cast("float", record["since_s"])
        else:
            self._number = cast("int", record["number"])
            self.lost = {name: n for name, n in cast("dict[str, int]", record["lost"]).items() if name in self.targets}

    def _names(self, mode: TargetMode) -> set[str]:
        return {name for name, its in self.targets.items() if its is mode}

    def _enqueue(self, target: str, entry: QueuedAlert) -> None:
        queue = self._queues[target]
        queue[entry.number] = entry
        while len(queue) > self._entry_count_max:
            queue.popitem(last=False)
            self.lost[target] = self.lost.get(target, 0) + 1

    def _stand(self, entry: QueuedAlert, owed: set[str]) -> None:
        identity = entry.alert.identity
        self._settled.pop(identity, None)
        self._standing.pop(identity, None)
        self._standing[identity] = entry
        if entry.alert.status is AlertStatus.RESOLVED:
            self._owed[identity] = owed
            self._settle(identity)
        else:
            self._owed.pop(identity, None)
        while len(self._standing) > self._entry_count_max:
            self._drop(next(iter(self._standing)))
            for name in self._names(TargetMode.STATE):
                self.lost[name] = self.lost.get(name, 0) + 1

    def _settle(self, identity: str) -> None:
        if self._owed[identity]:
            return
        self._settled[identity] = self._standing[identity].alert.since_s
        self._drop(identity)
        while len(self._settled) > SETTLED_COUNT_MAX:
            self._settled.popitem(last=False)

    def _drop(self, identity: str) -> None:
        self._standing.pop(identity, None)
        self._owed.pop(identity, None)
        for told in self._told.values():
            told.pop(identity, None)


def _alert(record: Record) -> Alert:
    return alert_from_document(cast("dict[str, object]", record["alert"]))


def _collapsed(count: int, oldest: Alert) -> Alert:
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
