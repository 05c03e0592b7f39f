"""The agent: one loop that waits for the kernel, the source or the clock, and then reconciles.

    source poller (thread) ──selection──┐
    monitor (kernel events) ────────────┼──> loop ──> Reconciliation ──> outbox ──> delivery (a thread for each target)
    clock (next observation, retry) ────┘      └──> status, metrics, decision log

Only the loop's thread observes and changes the kernel. An event only starts an observation; the observation counts.
"""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import selectors
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final, assert_never

from reconciler.agent.alert_recovery import PAIR_ALERTS, recover_memory
from reconciler.agent.change_guard import ConfirmedChange
from reconciler.agent.change_watch import ChangeWatch
from reconciler.agent.executor import ApplyOutcome as Performed
from reconciler.agent.metrics import Metrics
from reconciler.agent.name_publisher import NamePublisher
from reconciler.agent.pair_monitor import pair_monitor_of
from reconciler.agent.pair_rollout import PairRollout
from reconciler.agent.peer_service import PeerService
from reconciler.agent.push.push_host import push_host_of
from reconciler.agent.reconciliation import Reconciliation
from reconciler.agent.revision_gate import RevisionGate
from reconciler.agent.rollback import restored_for
from reconciler.agent.session import Session
from reconciler.agent.source.content import Content
from reconciler.agent.source.poller import SourcePoller
from reconciler.agent.source.relay import relay_of
from reconciler.agent.source.selection import Selection
from reconciler.agent.source.selector import select_revision
from reconciler.agent.source.unsigned_commits import unsigned_warning
from reconciler.agent.status_publisher import AgentStatusPublisher
from reconciler.core.alerts.alert import Alert
from reconciler.core.alerts.builder import AlertBuilder
from reconciler.core.alerts.conditions import Conditions
from reconciler.core.facts.state import Origin
from reconciler.core.planning.drift_state import DriftLedger, ledger_document
from reconciler.core.planning.plan import Blame
from reconciler.errors import HagitError, StateError
from reconciler.system.alerts.delivery import AlertsDelivered, AlertsDropped, Delivery, DeliveryDelayed, DeliveryReport
from reconciler.system.alerts.outbox import Outbox
from reconciler.system.alerts.target_secrets import target_refusal
from reconciler.system.alerts.targets import targets_of
from reconciler.system.clock import monotonic_s
from reconciler.system.files import Lock
from reconciler.system.http.server import HttpEndpoints, HttpServer
from reconciler.system.netlink.monitor import Monitor
from reconciler.system.wakeup import Wakeup

#: Longest interval between two observations.
OBSERVE_INTERVAL_S: Final = 10.0
#: Shortest interval between two observations, also in a storm of events.
OBSERVE_PAUSE_S: Final = 0.02


class Agent:
    """One controller's agent. Raises HagitError when it cannot start."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._resources = contextlib.ExitStack()
        self._wakeup = Wakeup()
        self._selections: queue.SimpleQueue[Selection] = queue.SimpleQueue()
        self._selection = session.last_selection()
        self._stopping = False
        node, store = session.node, session.store
        self._metrics = Metrics(controller=node.controller)
        self._monitor = Monitor()
        self._outbox = Outbox(store.outbox)
        self._delivery = Delivery(self._outbox, self._on_delivery)
        firing = self._outbox.firing()
        self._memory = recover_memory(session, firing)
        self._names = NamePublisher(node.path, lambda: self._wakeup.set("names"))
        self._changes = ChangeWatch(session, lambda: self._wakeup.set("paths"))
        self._publisher = AgentStatusPublisher(
            session, self._metrics, self._outbox, self._changes, os.getpid(), self._names.publications
        )
        relay = relay_of(lambda: Session(node.path))
        self._poller = SourcePoller(node, self._on_selection, partial(select_revision, relay=relay))
        self._peer_service = PeerService(node)
        self._push = push_host_of(node, self._poller.poll_source)
        self._gate = RevisionGate(store, PairRollout(session), node)
        pair_alerts = tuple(alert for alert in firing if alert.kind in PAIR_ALERTS)
        self._pair = pair_monitor_of(
            node, store.root / "pair.json", self._metrics.pair, self._put_pair_alert, pair_alerts
        )
        self._listener: HttpServer | None = None
        if node.listen is not None:
            pages = HttpEndpoints(
                metrics=self._metrics.render,
                metrics_type=self._metrics.content_type,
                health=self._publisher.health,
                poll_source=self._poller.poll_source,
                secret_file=str(node.listen.hook_secret or ""),
                hosts=self._host_names,
            )
            self._listener = HttpServer(f"{_bracketed(node.listen.address)}:{node.listen.port}", pages)

    def run(self, *, once: bool = False) -> None:
        """Run until `stop`, or with `once` until the first selection was applied."""
        if self._listener is not None:
            self._listener.start()
            self._publisher.port = self._listener.port
        self._poller.start()
        if once:
            # Without a loop nothing could answer the peer or wait for it.
            self._gate.rollout = None
        else:
            self._peer_service.start()
        if self._push is not None and not once:
            self._push.start()
        with selectors.DefaultSelector() as selector:
            selector.register(self._monitor, selectors.EVENT_READ)
            selector.register(self._wakeup, selectors.EVENT_READ)
            due_s: float | None = OBSERVE_INTERVAL_S
            if not once:
                self._configure()
                due_s = self._reconcile("start")
            while not self._stopping:
                timeout_s = OBSERVE_INTERVAL_S if due_s is None else min(due_s, OBSERVE_INTERVAL_S)
                began_s = monotonic_s()
                sleep_s = timeout_s if self._pair is None else min(timeout_s, self._pair.interval_s)
                ready = {key.fileobj for key, _ in selector.select(sleep_s)}
                if self._pair is not None:
                    self._pair.poll()
                    self._names.observe(self._pair.status)
                reasons = self._wakeup.take() if self._wakeup in ready else frozenset()
                changed = self._monitor in ready and self._monitor.drain()
                fresh = self._read_selections()
                waited_s = monotonic_s() - began_s
                named, asked = "names" in reasons, "paths" in reasons
                if changed or fresh or named or asked or waited_s >= timeout_s:
                    trigger = "event" if changed else "source" if fresh else "names" if named else "interval"
                    due_s = self._reconcile(trigger)
                else:
                    due_s = max(0.0, timeout_s - waited_s)
                    if "delivery" in reasons:
                        self._publisher.publish_delivery()
                if once and fresh:
                    break

    def exit_status(self) -> int:
        """The exit status of `--once`: 1, and the reason on stderr, when the newest commit is not in force."""
        reasons = [error for error in (self._selection.refusal, self._memory.failure) if error is not None]
        for error in reasons:
            print(f"hagit agent: {error}", file=sys.stderr)
        if self._selection.revision is None and not reasons:
            print("hagit agent: there is no revision to apply", file=sys.stderr)
        return 1 if reasons or self._selection.revision is None else 0

    def stop(self) -> None:
        """End the loop soon; may be called from a signal handler."""
        self._stopping = True
        self._wakeup.set("stop")

    def poll_source(self) -> None:
        """Poll the source now; may be called from a signal handler."""
        self._poller.poll_source()

    def close(self) -> None:
        """Stop the threads and close everything. Alerts that were not delivered stay in the outbox."""
        self._names.close()
        self._changes.close()
        self._poller.close()
        self._peer_service.close()
        if self._push is not None:
            self._push.close()
        if self._listener is not None:
            self._listener.close()
        self._delivery.close()
        self._outbox.close()
        self._monitor.close()
        self._wakeup.close()

    def wait_delivered(self, timeout_s: float) -> bool:
        """Wait until every target has received all alerts; False after `timeout_s`."""
        return self._delivery.wait_delivered(timeout_s)

    def _on_selection(self, selection: Selection) -> None:
        self._selections.put(selection)
        self._wakeup.set("source")

    def _read_selections(self) -> bool:
        fresh = False
        while not self._selections.empty():
            self._selection = self._selections.get()
            fresh = True
        if fresh:
            self._configure()
        return fresh

    def _configure(self) -> None:
        """Deliver alerts to the targets of the selected revision. An unusable target must not stop the agent."""
        content = self._selection.content
        if content is None:
            return
        try:
            named = targets_of(content.settings.alerting)
            refusals = {target: target_refusal(self._session.node, target) for target in named}
            unusable = self._delivery.configure([target for target in named if not refusals[target]])
            refused = (*filter(None, refusals.values()), *unusable)
        except HagitError as error:
            refused = (f"{error.where}: {error.what}",)
        if refused != self._publisher.targets_refused:
            self._publisher.targets_refused = refused
            self._session.store.log_decision("targets-refused", why=list(refused))

    def _host_names(self) -> frozenset[str]:
        """The names of this controller: those of the Pair, and those of the node file."""
        listen, content = self._session.node.listen, self._selection.content
        names = set(listen.hosts if listen is not None else ())
        if content is not None:
            pair = content.settings.pair
            short = {*pair.hostnames.values(), *([pair.virtual_hostname] if pair.virtual_hostname else [])}
            names |= {name.lower() for name in short}
            names |= {f"{name}.{pair.domain}".lower() for name in short if pair.domain}
        return frozenset(names)

    def _reconcile(self, trigger: str) -> float | None:
        began_s = monotonic_s()
        self._metrics.look(trigger)
        before = self._memory.ledger, self._memory.conditions
        try:
            due_s = self._reconciliation().run(self._selection)
            self._save_memory(*before)
            # The actions of this round caused events; its own observation has answered them.
            success = self._memory.failure is None
        except StateError as error:
            print(f"hagit agent: {error}", file=sys.stderr)
            due_s, success = OBSERVE_INTERVAL_S, False
        self._publisher.publish_round(self._selection, self._memory, began_s, trigger, success=success)
        return OBSERVE_PAUSE_S if due_s is not None and due_s < OBSERVE_PAUSE_S else due_s

    def _reconciliation(self) -> Reconciliation:
        content, revision = self._selection.content, self._selection.revision
        pair = content.settings.pair.name if content else ""

        def blame_of(origin: Origin) -> Blame | None:
            applied = self._session.store.applied()
            commit = applied.revision.commit if applied else revision.commit if revision else ""
            return self._session.blame_lookup(commit)(origin) if commit else None

        return Reconciliation(
            self._session.store,
            self._session.host,
            AlertBuilder(pair, self._session.node.controller, blame_of),
            self._memory,
            self._put_alert,
            self._session.content_for,
            self._gate,
            self._count_actions,
            self._poller.poll_source,
            self._publish_orders,
            self._select_storage,
            lambda: unsigned_warning(self._session.node, self._session.store.accepted()),
            self._names.failures,
            lambda: self._push.conditions if self._push is not None else (),
            lambda revision, content: ConfirmedChange(self._session, revision, content),
            self._changes,
            partial(restored_for, self._session),
        )

    def _select_storage(self, content: Content) -> bool:
        return self._session.host.select_storage(content.keys())

    def _publish_orders(self, content: Content, commit: str) -> None:
        """Publish what the revision in force says to others: the orders, and the name of the pair."""
        self._names.follow(content.settings.virtual_name)
        if self._session.orders is not None:
            self._session.orders.publish(content, commit)

    def _put_alert(self, alert: Alert) -> None:
        self._outbox.put(alert)

    def _put_pair_alert(self, alert: Alert) -> None:
        self._put_alert(alert)
        self._session.store.log_decision("alert", alert=alert.document())

    def _on_delivery(self, outcome: DeliveryReport) -> None:
        """Record a report of a delivery thread; runs in that thread."""
        match outcome:
            case AlertsDelivered():
                self._metrics.delivered(outcome.target, len(outcome.alerts))
            case DeliveryDelayed():
                self._metrics.delivery_failed(outcome.target)
            case AlertsDropped():
                self._metrics.collapsed(outcome.target, len(outcome.alerts))
                identities = [alert.identity for alert in outcome.alerts]
                self._session.store.log_decision("gave-up", target=outcome.target, why=outcome.why, alerts=identities)
            case _:
                assert_never(outcome)
        self._wakeup.set("delivery")

    def _count_actions(self, outcome: Performed) -> None:
        for word, actions in (("done", outcome.done), ("failed", outcome.refused)):
            for action in actions:
                self._metrics.action(action.verb.value, action.stage.name.lower(), word)

    def _save_memory(self, ledger: DriftLedger, conditions: Conditions) -> None:
        if (ledger, conditions) != (self._memory.ledger, self._memory.conditions):
            firing = [alert.document() for alert in self._memory.conditions.firing]
            self._session.store.write_drift({"drift": ledger_document(self._memory.ledger), "standing": firing})


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _agent_lock(session: Session) -> Lock:
    """The lock of the only agent. Waits a moment: a process that looks for the holder takes the lock briefly."""
    return Lock(session.store.root / "agent.lock", "hagit agent", wait_s=0.5)


def run_agent(node_file: Path | None, *, once: bool) -> int:
    """`hagit agent`: run until SIGTERM or SIGINT; SIGHUP polls the source. Raises HagitError when it cannot start."""
    with Session(node_file) as session, _agent_lock(session):
        agent = Agent(session)
        # The objects so far stay until the end: later collections need not visit them.
        gc.collect()
        gc.freeze()
        gc.enable()

        def end(number: int, frame: FrameType | None) -> None:
            agent.stop()

        def look(number: int, frame: FrameType | None) -> None:
            agent.poll_source()

        signal.signal(signal.SIGHUP, look)
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        try:
            agent.run(once=once)
            if once:
                agent.wait_delivered(10.0)
        finally:
            agent.close()
            session.store.prune()
        return agent.exit_status() if once else 0
