"""Delivery of alerts: one thread for each target, so that a dead or slow target never delays another.

Decides when to try, wait and drop. New alerts wake the threads at once; after a failure the pause doubles, with jitter,
up to a limit. `Sender` speaks the protocol of a target, `Outbox` stores the alerts.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from reconciler.core.alerts.alert import Alert
from reconciler.core.alerts.backlog import QueuedAlert, TargetMode
from reconciler.errors import UsageError
from reconciler.system.alerts.alertmanager import REFRESH_INTERVAL_S, AlertmanagerSender
from reconciler.system.alerts.chat import ChatSender
from reconciler.system.alerts.outbox import Outbox
from reconciler.system.alerts.sender import SendAccepted, Sender, SendFailed, SendRejected, SendResult
from reconciler.system.alerts.targets import (
    AlertmanagerTarget,
    ChatTarget,
    Target,
    WebhookTarget,
    target_mode,
    target_name,
)
from reconciler.system.alerts.webhook import WebhookSender

TARGET_COUNT_MAX: Final = 16
PAUSE_S_MIN: Final = 0.25

#: After this many failed deliveries, drop the alert, count it as dropped, and go on with the next one.
ATTEMPT_COUNT_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class AlertsDelivered:
    """The target accepted new alerts. `attempts`: failed tries before."""

    target: str
    alerts: tuple[Alert, ...]
    attempts: int
    took_s: float


@dataclass(frozen=True, slots=True)
class DeliveryDelayed:
    """A try failed; the next comes after `pause_s`."""

    target: str
    why: str
    attempts: int
    pause_s: float


@dataclass(frozen=True, slots=True)
class AlertsDropped:
    """The target will not receive these alerts."""

    target: str
    alerts: tuple[Alert, ...]
    why: str


DeliveryReport: TypeAlias = AlertsDelivered | DeliveryDelayed | AlertsDropped


class Delivery:
    """The threads of all targets. They call `report` after each try with a result."""

    def __init__(
        self,
        outbox: Outbox,
        report: Callable[[DeliveryReport], None],
        *,
        refresh_interval_s: float = REFRESH_INTERVAL_S,
    ) -> None:
        self._outbox = outbox
        self._report = report
        self._refresh_interval_s = refresh_interval_s
        self._workers: dict[str, tuple[Target, _Worker]] = {}

    def configure(self, targets: Sequence[Target]) -> tuple[str, ...]:
        """Set the targets; the threads of targets that stay are not disturbed.

        Returns the reason for each target that cannot be used. Raises StateError when the targets could not be stored:
        they are in use, but a restart would forget them.
        """
        wanted, refused = _usable(targets)
        gone = [name for name, (target, _) in self._workers.items() if wanted.get(name) != target]
        for worker in [self._workers.pop(name)[1] for name in gone]:
            worker.stop()
        try:
            self._outbox.configure({name: target_mode(target) for name, target in wanted.items()})
        finally:
            for name in wanted.keys() - self._workers.keys():
                target = wanted[name]
                worker = _Worker(
                    name, target_mode(target), _sender(target), self._outbox, self._report, self._refresh_interval_s
                )
                self._workers[name] = (target, worker)
                worker.start()
        return refused

    def wait_delivered(self, timeout_s: float) -> bool:
        """Wait until every target has received all alerts; False after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        seen = self._outbox.version()
        while any(self._outbox.pending_counts().values()):
            if time.monotonic() >= deadline_s:
                return False
            seen = self._outbox.wait(seen, deadline_s - time.monotonic())
        return True

    def close(self, timeout_s: float = 1.0) -> None:
        """Stop. A running try gets `timeout_s` to end; its alerts stay in the outbox."""
        deadline_s = time.monotonic() + timeout_s
        workers = [worker for _, worker in self._workers.values()]
        self._workers.clear()
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join(max(0.0, deadline_s - time.monotonic()))


def _usable(targets: Sequence[Target]) -> tuple[dict[str, Target], tuple[str, ...]]:
    """The usable targets by name, and the reason for each other one."""
    wanted: dict[str, Target] = {}
    refused: list[str] = []
    for target in targets:
        try:
            name = target_name(target)
            if len(wanted) >= TARGET_COUNT_MAX and name not in wanted:
                raise UsageError(f"there are {TARGET_COUNT_MAX} targets already", where=name)
            _sender(target).close()
        except UsageError as error:
            refused.append(f"{error.where}: {error.what}")
        else:
            wanted[name] = target
    return wanted, tuple(refused)


def _sender(target: Target) -> Sender:
    match target:
        case AlertmanagerTarget():
            return AlertmanagerSender(target)
        case WebhookTarget():
            return WebhookSender(target)
        case ChatTarget():
            return ChatSender(target)
        case _:
            assert_never(target)


class _Worker(threading.Thread):
    """Delivers to one target."""

    def __init__(
        self,
        name: str,
        mode: TargetMode,
        sender: Sender,
        outbox: Outbox,
        report: Callable[[DeliveryReport], None],
        refresh_interval_s: float,
    ) -> None:
        # A daemon thread: a hanging target must not keep the agent from stopping.
        super().__init__(name=f"alerts to {name}"[:60], daemon=True)
        self._target = name
        self._mode = mode
        self._sender = sender
        self._outbox = outbox
        self._report = report
        self._refresh_interval_s = refresh_interval_s
        self._stopped = False
        self._attempts = 0
        self._not_before_s = 0.0
        #: For a STATE target: number of the alert that was sent last for each condition, and when (monotonic seconds).
        self._announced: dict[str, tuple[int, float]] = {}

    def stop(self) -> None:
        """End after the running try."""
        self._stopped = True
        self._outbox.wake()

    def run(self) -> None:
        """Send due alerts until stopped; else wait for new ones or for the next due time."""
        while not self._stopped:
            seen = self._outbox.version()
            now_s = time.monotonic()
            batch, next_s = self._due(now_s)
            if not batch or now_s < self._not_before_s:
                until_s = self._not_before_s if batch else next_s
                timeout_s = None if until_s == float("inf") else max(0.0, until_s - now_s)
                self._outbox.wait(seen, timeout_s)
            else:
                self._try(batch)
        self._sender.close()

    def _due(self, now_s: float) -> tuple[tuple[QueuedAlert, ...], float]:
        """The alerts to send now, and the time of the next ones (monotonic seconds)."""
        if self._mode is TargetMode.EVENTS:
            entry = self._outbox.next_event(self._target)
            return ((entry,) if entry is not None else (), float("inf"))
        waiting = self._outbox.state_alerts(self._target)
        known = {entry.alert.identity for entry in waiting}
        self._announced = {identity: sent for identity, sent in self._announced.items() if identity in known}
        due: list[QueuedAlert] = []
        next_s = float("inf")
        for entry in waiting:
            number, sent_s = self._announced.get(entry.alert.identity, (0, 0.0))
            if number != entry.number or now_s >= sent_s + self._refresh_interval_s:
                due.append(entry)
            else:
                next_s = min(next_s, sent_s + self._refresh_interval_s)
        return tuple(due[: self._sender.batch_count_max]), next_s

    def _try(self, batch: tuple[QueuedAlert, ...]) -> None:
        begin_s = time.monotonic()
        alerts = tuple(entry.alert for entry in batch)
        result = self._send(alerts)
        now_s = time.monotonic()
        match result:
            case SendAccepted():
                new = tuple(e.alert for e in batch if self._announced.get(e.alert.identity, (0, 0.0))[0] != e.number)
                self._finish(batch, now_s)
                if new or self._attempts:
                    self._report(AlertsDelivered(self._target, new, self._attempts, now_s - begin_s))
                self._attempts = 0
            case SendRejected(why):
                if self._mode is TargetMode.STATE:
                    self._finish(batch, now_s)
                else:
                    self._outbox.drop(self._target, batch[0])
                self._attempts = 0
                self._report(AlertsDropped(self._target, alerts, why))
            case SendFailed(why):
                self._postpone(batch, why, now_s)
            case _:
                assert_never(result)

    def _send(self, alerts: tuple[Alert, ...]) -> SendResult:
        try:
            return self._sender.send(alerts)
        except Exception as error:
            # A defect in a sender must not end the thread, which is the only one that serves this target.
            return SendFailed(f"{type(error).__name__}: {error}")

    def _finish(self, batch: tuple[QueuedAlert, ...], now_s: float) -> None:
        if self._mode is TargetMode.STATE:
            self._announced.update({entry.alert.identity: (entry.number, now_s) for entry in batch})
        self._outbox.mark_delivered(self._target, batch)

    def _postpone(self, batch: tuple[QueuedAlert, ...], why: str, now_s: float) -> None:
        self._attempts += 1
        if self._mode is TargetMode.EVENTS and self._attempts >= ATTEMPT_COUNT_MAX:
            self._outbox.drop(self._target, batch[0])
            self._report(AlertsDropped(self._target, tuple(entry.alert for entry in batch), why))
            self._attempts = 0
        # Jitter keeps many controllers from returning to a target at the same moment.
        pause_s = min(self._sender.pause_s_max, PAUSE_S_MIN * 2.0 ** min(self._attempts - 1, 16))
        pause_s *= random.uniform(0.5, 1.0)
        self._not_before_s = now_s + pause_s
        self._report(DeliveryDelayed(self._target, why, self._attempts, pause_s))
