"""What people see of shares: a row of each server, and the reasons why shares are not served as they should be.

Each share that is not served has a reason of its own. Decides the words only; `share_service` decides what is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.core.shares.ports import ServerView, Serving, ShareProblem
from reconciler.core.shares.shares import Protocol
from reconciler.core.status.watchdog import ReasonStatus, ServerStatus
from reconciler.system.shares.servers import NAMES, protocols_of
from reconciler.watchdog.share_service import ShareGoal, ShareService

#: Reasons about single shares; one more reason counts the others.
PROBLEMS_MAX: Final = 50
NAMES_MAX: Final = 512
NOTHING: Final = ServerView(Serving.UNKNOWN)
SERVER_REMEDY: Final = "the start is tried again; the journal of hagit-watchdog has each try"


def server_rows(service: ShareService) -> tuple[ServerStatus, ...]:
    """One row for each protocol that has shares, or whose server may run."""
    shares = service.shares
    protocols = {*(protocols_of(shares) if shares else ()), *service.running}
    found = []
    for protocol in sorted(protocols):
        view, wanted = service.views.get(protocol, NOTHING), service.goal is ShareGoal.SERVE
        names = [name for kind, name in shares.names() if kind is protocol] if shares else []
        usable = frozenset(view.served)
        served = [name for name in names if name in usable]
        found.append(
            ServerStatus(
                protocol=protocol.value,
                serving=view.serving.value,
                wanted=wanted,
                shares=len(names),
                served_count=len(served),
                served=tuple(served[:NAMES_MAX]),
                unserved=tuple([name for name in names if name not in usable][:NAMES_MAX]),
                clients=view.clients_count,
                start_ms=service.start_ms.get(protocol),
                stop_ms=service.stop_ms.get(protocol),
                notes=tuple(_notes(view)) if wanted else (),
            )
        )
    return tuple(found)


def _notes(view: ServerView) -> Iterator[str]:
    """What a protocol's figures mean for clients (`ServerView.figures`)."""
    for name, count in view.figures:
        if name == "grace" and count:
            yield "clients reclaim their state; new opens and locks wait"
        elif name == "clients_4_0" and count:
            yield f"clients of version 4.0, each makes the next grace period last its full time: {count}"
        elif name == "clients_courtesy" and count:
            yield f"clients that are gone and still remembered: {count}"


def share_reasons(service: ShareService) -> tuple[ReasonStatus, ...]:
    """Why shares are not served, or not as their resources say."""
    found = []
    if service.followed.refusal:
        found.append(
            ReasonStatus(
                code="SHARES_REFUSED",
                text="the newest shares are not followed; the last good ones stay in force",
                evidence=service.followed.refusal,
                remedy="let the agent write them again: `hagit apply` on this controller",
            )
        )
    for one in dict.fromkeys(one for part in service.findings.values() for one in part):
        code = one.code.upper().replace("-", "_")
        found.append(ReasonStatus(code=code, text=one.text, evidence=one.evidence, remedy=one.remedy))
    protocols = protocols_of(service.shares) if service.shares else ()
    for protocol in protocols:
        found += _server_reasons(service, protocol)
    problems = [
        one
        for protocol in protocols
        for one in service.views.get(protocol, NOTHING).problems
        if one.name and service.goal is ShareGoal.SERVE
    ]
    found += [_share_reason(one) for one in problems[:PROBLEMS_MAX]]
    if len(problems) > PROBLEMS_MAX:
        found.append(
            ReasonStatus(
                code="SHARE_PROBLEM",
                text="more shares have problems",
                evidence=f"{len(problems) - PROBLEMS_MAX} more than are listed here",
                remedy="mend the listed ones first",
            )
        )
    return tuple(found)


def _server_reasons(service: ShareService, protocol: Protocol) -> Iterator[ReasonStatus]:
    """A server that does not serve here, or could not serve after a takeover."""
    view = service.views.get(protocol)
    down = service.goal is ShareGoal.SERVE and (view is None or view.serving is not Serving.UP)
    problems = [one for one in view.problems if not one.name] if view is not None else []
    if down and not problems:
        problems = list(service.start_problems.get(protocol, ()))
    for one in problems:
        if down:
            code, text = "SHARES_DOWN", f"{NAMES[protocol]} does not serve"
        elif service.goal is not ShareGoal.SERVE:
            code, text = "SHARES_DOWN", f"{NAMES[protocol]} could not serve here after a takeover"
        elif one.changed:
            code, text = "SHARE_CHANGED", f"the {NAMES[protocol]} server was changed by hand"
        else:
            code, text = "SHARE_PROBLEM", f"the {NAMES[protocol]} server has a problem"
        yield ReasonStatus(code=code, text=text, evidence=one.text, remedy=one.remedy or SERVER_REMEDY)
    if down and not problems and service.failure:
        yield ReasonStatus(
            code="SHARES_DOWN",
            text=f"{NAMES[protocol]} does not serve",
            evidence=service.failure,
            remedy=SERVER_REMEDY,
        )


def _share_reason(one: ShareProblem) -> ReasonStatus:
    """One share. The text names it and stays the same while the evidence changes: alerts tell reasons apart by it."""
    share = f"{NAMES[one.protocol]} share {one.name}"
    if one.changed:
        return ReasonStatus(
            code="SHARE_CHANGED",
            text=f"{share} was changed by hand: it differs from the configuration",
            evidence=one.text,
            remedy=one.remedy or "commit the change, or let hagit serve again: the next start undoes it",
        )
    return ReasonStatus(
        code="SHARE_PROBLEM",
        text=f"{share} is served with a problem" if one.served else f"{share} is not served",
        evidence=one.text,
        remedy=one.remedy or SERVER_REMEDY,
    )
