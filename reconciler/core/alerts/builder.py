"""Build the alerts of the agent: drift that began or ended, and conditions that keep it from its work.

Chooses kind, severity and wording of each alert. Does not deliver them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from reconciler.core.alerts.alert import Alert, AlertKind, AlertStatus, Severity
from reconciler.core.facts.difference import DifferenceKind
from reconciler.core.facts.state import DriftMode, Origin
from reconciler.core.planning.drift_state import DriftEntry, DriftLedger, Transition, TransitionKind
from reconciler.core.planning.fact_words import fact_name, fact_value
from reconciler.core.planning.plan import Blame, HeldChange
from reconciler.core.planning.removal_commands import removal_command
from reconciler.core.status.revision import Revision
from reconciler.errors import ConfigurationError, HagitError, HistoryRefused, SignatureRefused

#: Conditions that a person should look at now: the configuration is not what the newest commit asks for.
CRITICAL: Final = frozenset({AlertKind.APPLY_FAILED, AlertKind.CHANGE_REVERTED})


@dataclass(frozen=True, slots=True)
class AlertBuilder:
    """Builds alerts of one controller. `blame_of` returns the commit and author of a line of the desired state."""

    pair: str
    controller: str
    blame_of: Callable[[Origin], Blame | None]

    def drift(self, transition: Transition, hold: HeldChange | None = None) -> Alert:
        """The alert of one drift transition. `hold`: why the last plan does not remove this difference."""
        first = transition.drifts[0]
        single = transition.count == 1
        firing = transition.kind is TransitionKind.FIRING
        blame = self.blame_of(first.origin) if first.origin is not None else None
        return Alert(
            kind=_drift_kind(first) if single else AlertKind.DRIFT_STORM,
            status=AlertStatus.FIRING if firing else AlertStatus.RESOLVED,
            pair=self.pair,
            controller=self.controller,
            subject=_subject(first) if single else transition.alert,
            summary=str(transition),
            since_s=first.since_s,
            ended_s=0.0 if firing else transition.at_s,
            resource=first.resource if single else "",
            desired=fact_value(first.desired) if single and first.desired else "",
            live=fact_value(first.live) if single and first.live else "",
            commit=blame.commit if blame else first.revision.rpartition("@")[2],
            author=blame.author if blame else "",
            signer=blame.signer if blame else "",
            origin=f"{first.origin.file}:{first.origin.line}" if first.origin else "",
            remedy=_remedy_for(first, hold) if single else "hagit plan, then hagit apply",
        )

    def firing_drift(self, ledger: DriftLedger) -> Iterator[Alert]:
        """The alerts of all drift that fires, as they were delivered, but without commit and author."""
        builder = replace(self, blame_of=lambda origin: None)
        for drift in ledger.firing():
            if drift.alert not in ledger.storms:
                yield builder.drift(Transition(TransitionKind.FIRING, drift.alert, drift.since_s, 1, (drift,)))
        for name, storm in ledger.storms.items():
            yield builder.drift(
                Transition(TransitionKind.FIRING, name, storm.first[0].since_s, storm.count, storm.first)
            )

    def source_conditions(
        self, refusal: HagitError | None, head: str | None, failed_remotes: Sequence[tuple[str, str]], now_s: float
    ) -> Iterator[Alert]:
        """The conditions that keep the newest commit from this controller, as far as the source shows them.

        `refusal`: why the newest commit is not used. `head`: the tip that the source gave, None without an answer.
        `failed_remotes`: each remote that did not answer, with the reason.
        """
        if refusal is not None:
            refused = head is not None or _is_about_a_commit(refusal)
            kind = AlertKind.REVISION_REFUSED if refused else AlertKind.SOURCE_UNREACHABLE
            yield self.condition(kind, "newest commit" if refused else "source", refusal, now_s)
        elif failed_remotes:
            remote, why = failed_remotes[0]
            yield self._alert(AlertKind.SOURCE_UNREACHABLE, remote, f"{remote}: {why}; another remote answers", now_s)

    def condition(
        self, kind: AlertKind, subject: str, error: HagitError, now_s: float, revision: Revision | None = None
    ) -> Alert:
        """The alert of an error that lasts."""
        return self._alert(
            kind,
            subject,
            _summary_of(error),
            now_s,
            remedy=error.remedy,
            commit=revision.commit if revision else "",
            author=revision.author if revision else "",
            signer=revision.signer if revision else "",
        )

    def waiting_revision(self, revision: Revision, now_s: float) -> Alert:
        """The alert of a revision that only an operator applies."""
        what = f"{revision.name} ({revision.summary}) waits for an operator, because the Source resource says so"
        return self._alert(
            AlertKind.REVISION_WAITS,
            "newest commit",
            what,
            now_s,
            remedy="hagit plan, then hagit apply",
            commit=revision.commit,
            author=revision.author,
            signer=revision.signer,
        )

    def held_revision(self, revision: Revision, why: str, remedy: str, now_s: float) -> Alert:
        """The alert of a revision that the pair cannot take as things are."""
        return self._alert(
            AlertKind.REVISION_WAITS,
            "newest commit",
            f"{revision.name} ({revision.summary}) is not applied here: {why}",
            now_s,
            remedy=remedy,
            commit=revision.commit,
            author=revision.author,
            signer=revision.signer,
        )

    def suspended(self, reason: str, left_s: float, now_s: float) -> Alert:
        """The alert that an operator keeps the agent from applying."""
        # The time left changes with each look, and the alert must not.
        until = f"for {max(1, round(left_s / 3_600))} h more at most" if left_s > 3_600 else "for less than 1 h more"
        why = f": {reason}" if reason else ""
        summary = f"an operator has suspended applying, {until}{why}"
        return self._alert(AlertKind.SUSPENDED, "applying", summary, now_s, remedy="hagit resume")

    def about_change(self, kind: AlertKind, subject: str, summary: str, remedy: str, now_s: float) -> Alert:
        """The alert about a change that waits for its confirmation, or was taken back."""
        return self._alert(kind, subject, summary, now_s, remedy=remedy)

    def _alert(
        self,
        kind: AlertKind,
        subject: str,
        summary: str,
        now_s: float,
        *,
        remedy: str = "",
        commit: str = "",
        author: str = "",
        signer: str = "",
    ) -> Alert:
        return Alert(
            kind=kind,
            status=AlertStatus.FIRING,
            pair=self.pair,
            controller=self.controller,
            subject=subject,
            summary=summary,
            since_s=now_s,
            severity=Severity.CRITICAL if kind in CRITICAL else Severity.WARNING,
            commit=commit,
            author=author,
            signer=signer,
            remedy=remedy,
        )


def _is_about_a_commit(error: HagitError) -> bool:
    return isinstance(error, HistoryRefused | SignatureRefused)


def _summary_of(error: HagitError) -> str:
    if isinstance(error, ConfigurationError):
        first = error.complaints[0]
        rest = len(error.complaints) - 1
        more = f"; and {rest} more defect{'s' if rest > 1 else ''}" if rest else ""
        return f"{first.file}:{first.line}:{first.column}: {first.what}{more}"
    return f"{error.where}: {error.what}" if error.where else error.what


def _drift_kind(drift: DriftEntry) -> AlertKind:
    return AlertKind.FOREIGN if drift.kind is DifferenceKind.FOREIGN else AlertKind.DRIFT


def _remedy_for(drift: DriftEntry, hold: HeldChange | None) -> str:
    if drift.kind is DifferenceKind.FOREIGN and drift.live is not None:
        return f"hagit leaves it alone; if it is not needed: {removal_command(drift.live)}"
    if hold is not None:
        return f"{hold.why}: {hold.remedy}"
    return "healed by the agent" if drift.mode is DriftMode.HEAL else "hagit plan, then hagit apply"


def _subject(drift: DriftEntry) -> str:
    fact = drift.desired if drift.desired is not None else drift.live
    return fact_name(fact) if fact is not None else " ".join(drift.key)
