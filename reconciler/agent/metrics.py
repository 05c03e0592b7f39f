"""The agent's metrics for Prometheus.

Decides names, labels and the number of label values. The agent sets the values. Gauges that are times hold seconds
since 1970; no metric holds a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from reconciler import __version__
from reconciler.agent.pair_metrics import PairMetrics
from reconciler.core.status.publication import NamePublication, PublicationState
from reconciler.printing import printable

#: Drifting resources with their own label; the others are summed up under `(others)`.
RESOURCE_COUNT_MAX: Final = 1_000

_DURATION_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_OTHERS: Final = "(others)"


class Metrics:
    """All metrics of one agent. Every method may be called from any thread."""

    content_type: Final = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, pair: str = "", controller: str = "") -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        # Other exporters report the process: the default collectors are left out.
        self._build = self._gauge("build_info", "Which hagit this is.", "version", "pair", "controller")
        self._build.labels(__version__, printable(pair), controller).set(1)
        self._reconcile = Histogram(
            "hagit_reconcile_duration_seconds",
            "How long one round of observing, planning and performing takes.",
            buckets=_DURATION_BUCKETS_S,
            registry=self._registry,
        )
        self._success = self._gauge("last_reconcile_success_timestamp_seconds", "When a round last ended well.")
        self._failing = self._gauge("reconcile_failing", "1 while the last round ended in an error.")
        self._drift = self._gauge("drift", "Differences that no unapplied revision explains.", "resource", "mode")
        self._revision = self._gauge("revision_info", "The applied revision.", "commit", "signed")
        self._trust = self._gauge("trust_info", "Digest of [trust]; equal on controllers that trust alike.", "digest")
        self._applied = self._gauge("applied_timestamp_seconds", "When a revision was last applied.")
        self._reachable = self._gauge("source_reachable", "1 when the last fetch from the remote worked.", "remote")
        self._suspended = self._gauge("suspended", "1 while an operator keeps the agent from applying.")
        self._names = self._gauge("name_published", "1 while this controller publishes the name.", "name", "by")
        self._change = self._gauge("change_pending", "1 while a change waits for its confirmation.")
        self._reverted = self._gauge("change_reverted", "1 while the newest revision is taken back.")
        self._pending = self._gauge("alerts_pending", "Alerts that a target has not taken yet.", "target")
        self._firing = self._gauge("alerts_firing", "Alerts that are firing.")
        self._delivered = self._counter("alerts_delivered", "Alerts that a target has taken.", "target")
        self._failures = self._counter("alerts_delivery_failures", "Tries to deliver that failed.", "target")
        self._collapsed = self._counter("alerts_collapsed", "Alerts that were dropped for a target.", "target")
        self._actions = self._counter("actions", "Actions performed.", "verb", "stage", "outcome")
        self._looks = self._counter("looks", "Observations of the live state.", "trigger")

    def render(self) -> bytes:
        """The text exposition format, version 0.0.4."""
        return generate_latest(self._registry)

    def reconciled(self, duration_s: float, *, success: bool, now_s: float) -> None:
        """Record a reconciliation and its duration."""
        self._reconcile.observe(duration_s)
        self._failing.set(0 if success else 1)
        if success:
            self._success.set(now_s)

    def drift(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Set the number of drifting differences by (resource, mode). Others are removed."""
        self._drift.clear()
        for place, ((resource, mode), count) in enumerate(sorted(counts.items())):
            self._drift.labels(printable(resource) if place < RESOURCE_COUNT_MAX else _OTHERS, mode).inc(count)

    def revision(self, commit: str, *, signed: bool, applied_s: float) -> None:
        """Set the applied revision. `applied_s`: seconds since 1970."""
        self._revision.clear()
        self._revision.labels(commit, "yes" if signed else "no").set(1)
        self._applied.set(applied_s)

    def trust(self, digest: str) -> None:
        """Set the digest of the trust settings; empty: unknown."""
        self._trust.clear()
        if digest:
            self._trust.labels(digest).set(1)

    def source(self, reachable: Mapping[str, bool]) -> None:
        """Set which remotes answered the last time. Give names of remotes, not URLs with passwords."""
        self._reachable.clear()
        for remote, answers in reachable.items():
            self._reachable.labels(printable(remote)).set(1 if answers else 0)

    def names(self, publications: Iterable[NamePublication]) -> None:
        """Set which names are published here. On a standby no name is."""
        self._names.clear()
        for one in publications:
            if one.state is not PublicationState.STANDBY:
                is_there = one.state is PublicationState.PUBLISHED
                self._names.labels(printable(one.name), one.by).set(1 if is_there else 0)

    def suspended(self, is_suspended: bool) -> None:
        """Set whether an operator keeps the agent from applying."""
        self._suspended.set(1 if is_suspended else 0)

    def change(self, stage: str) -> None:
        """Set the stage of the newest change that could cut this controller off; empty without one that matters."""
        self._change.set(1 if stage not in ("", "reverted") else 0)
        self._reverted.set(1 if stage == "reverted" else 0)

    def alerts(self, waiting: Mapping[str, int], firing_count: int) -> None:
        """Set how many alerts wait for each target (`Outbox.pending_counts`), and how many are firing."""
        self._pending.clear()
        for target, count in waiting.items():
            self._pending.labels(printable(target)).set(count)
        self._firing.set(firing_count)

    def delivered(self, target: str, count: int) -> None:
        """Count alerts that a target accepted."""
        self._delivered.labels(printable(target)).inc(count)

    def delivery_failed(self, target: str) -> None:
        """Count a failed try."""
        self._failures.labels(printable(target)).inc()

    def collapsed(self, target: str, count: int) -> None:
        """Count alerts that were dropped for a target."""
        self._collapsed.labels(printable(target)).inc(count)

    def action(self, verb: str, stage: str, outcome: str) -> None:
        """Count an action. `outcome`: `done` or `failed`."""
        self._actions.labels(verb, stage, outcome).inc()

    def look(self, trigger: str) -> None:
        """Count an observation. `trigger`: its cause (`event`, `source`, `interval`, `start`)."""
        self._looks.labels(trigger).inc()

    def pair(self) -> PairMetrics:
        """The metrics of the pair, for an agent beside a watchdog."""
        return PairMetrics(self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"hagit_{name}", text, labels, registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"hagit_{name}", text, labels, registry=self._registry)
