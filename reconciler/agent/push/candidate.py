"""A commit that is offered to this controller: judged by the policy of following, checked, and planned.

It is received into a quarantine and leaves nothing behind; the controller follows it when its branch moves. What a push
needs beyond following is that the content has no defect: a branch that is followed may pass through one, but a person
who pushes can still repair it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from reconciler.agent.session import Session
from reconciler.agent.source.content import Content
from reconciler.agent.source.selector import candidate_content, judge_range, revision_of
from reconciler.agent.source.trust_policy import trust_policy_in_force
from reconciler.core.planning.plan import Plan
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError
from reconciler.system.git.mirror import Mirror
from reconciler.system.git.received_pack import received_pack
from reconciler.system.git.remote import Remote
from reconciler.system.signing.verdict import Verdict

#: Longest text of complaints or of a plan, in lines.
LINES_MAX: Final = 200
LINE_LENGTH_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Candidate:
    """A commit that may be followed here, with its content. `notes`: what a person should know of it.

    `tip`: the commit. `revision`: what would be in force: in a fleet, the newest commit that changed the pair's folder.
    """

    tip: str
    revision: Revision
    content: Content
    notes: tuple[str, ...] = ()


def judge_candidate(session: Session, pack: bytes, tip: str, origin: str) -> Candidate:
    """Receive and judge a commit. `pack`: what it needs beyond what this controller follows; `origin`: who offers it.

    Raises HagitError: HistoryRefused, SignatureRefused, UnsupportedSource, ConfigurationError with every complaint.
    """
    node, store = session.node, session.store
    mirror = Mirror(store.mirror)
    accepted = store.accepted()
    policy = trust_policy_in_force(node, accepted)
    with received_pack(mirror, pack, tip, Remote("", origin)) as received:
        repository = received.repository
        verdicts: dict[str, Verdict] = {}
        _, judgement = judge_range(node, store, policy, accepted, repository, tip, verdicts)
        state, content = candidate_content(node, policy, accepted, repository, tip)
        revision = replace(revision_of(repository, policy.branch, state), folder=policy.folder)
    notes = [f"note: {commit[:7]} {why}" for commit, why in judgement.warned]
    if state != tip:
        notes.append(f"note: {tip[:7]} changes nothing in {policy.folder}: this pair stays at {revision.name}")
    return Candidate(tip, revision, content, (*notes, *(f"warning: {warning}" for warning in content.warnings)))


def candidate_plan(session: Session, candidate: Candidate) -> Plan:
    """The plan of this controller for a candidate, from what it observes now. Raises HagitError."""
    from reconciler.agent.apply import propose

    content = candidate.content
    session.host.select_storage(content.keys())
    orders = session.orders.changes(content) if session.orders is not None else ()
    return propose(content, candidate.revision.full_name, session.host.observe(), None, orders)


def shortened(text: str, rest: str = "`hagit plan` shows the rest") -> str:
    """At most `LINES_MAX` lines of at most `LINE_LENGTH_MAX` characters."""
    lines = [line if len(line) <= LINE_LENGTH_MAX else f"{line[:LINE_LENGTH_MAX]}…" for line in text.splitlines()]
    if len(lines) > LINES_MAX:
        lines = [*lines[:LINES_MAX], f"… {len(lines) - LINES_MAX} more lines; {rest}"]
    return "\n".join(lines)


def judged(judge: Callable[[], Candidate]) -> Candidate | str:
    """The candidate, or why it is refused, in words for the person who pushes."""
    try:
        return judge()
    except HagitError as error:
        return shortened(str(error), "correct these first")
