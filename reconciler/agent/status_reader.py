"""The agent's status as commands read it: the document that the agent published, completed by the state directory.

`status_publisher` writes the document; a reader must not trust its age, so the verdict here counts in whether the agent
runs and whether the applied revision survived the last boot.
"""

from __future__ import annotations

import contextlib
from typing import Any

from reconciler.agent.session import Session
from reconciler.agent.source.unsigned_commits import trust_document
from reconciler.core.status.publication import LASTING_FAILURES
from reconciler.errors import StateError
from reconciler.system.clock import wall_s


def read_agent_status(session: Session) -> dict[str, Any]:
    """The status document of `hagit status -o json`: the agent's last one, completed by the state directory.

    `verdict` is one sentence, `well` whether nothing is wrong, `agent` whether the agent runs, `age_s` the age of its
    document. Works while no agent runs.
    """
    published = session.store.status() or {}
    running = session.agent_runs
    applied = session.store.applied()
    document: dict[str, Any] = {"format": "hagit.status/1", "verdict": "", "well": False}
    document |= {key: value for key, value in published.items() if key != "format"}
    document["controller"] = session.node.controller
    document["agent"] = running
    document["age_s"] = round(wall_s() - published["at_s"], 1) if published else None
    document["in_force"] = bool(applied and applied.holds_now())
    document["applied"] = None if applied is None else {"name": applied.revision.name, "at_s": applied.at_s}
    if applied is not None:
        document["applied"] |= {
            "commit": applied.revision.commit,
            "author": applied.revision.author,
            "summary": applied.revision.summary,
            "signer": applied.revision.signer,
        }
    with contextlib.suppress(StateError):
        # Only root may read how far the source was followed; other users see the trust that the agent published.
        document["trust"] = trust_document(session.unsigned_warning())
    document["verdict"], document["well"] = _verdict(document)
    return document


def _verdict(document: dict[str, Any]) -> tuple[str, bool]:
    """The verdict in one sentence, and whether it is good."""
    applied = document["applied"]
    controller = f"Controller {document['controller']}"
    if applied is None:
        return f"{controller}: no revision was applied yet.", False
    name = applied["name"]
    if not document["in_force"]:
        return f"{controller}: {name} was applied before the last boot and is not in force.", False
    if document.get("failure") and document["agent"]:
        return f"{controller}: applying fails; {name} is in force.", False
    change = document.get("change")
    if change and document["agent"]:
        if change["stage"] == "reverted":
            return f"{controller}: {change['revision']} was taken back; {name} is in force.", False
        return f"{controller}: {change['revision']} waits for its confirmation.", False
    if document.get("suspended") and document["agent"]:
        return f"{controller}: {name} is in force; applying is suspended.", False
    if document.get("refusal") and document["agent"]:
        return f"{controller}: {name} is in force; a newer commit or the source is refused.", False
    drifted = lasting_drift(document)
    if drifted and document["agent"]:
        count = len(drifted)
        return f"{controller}: {count} difference{'s' if count > 1 else ''} drifted from {name}.", False
    if not document["agent"]:
        return f"{controller}: {name} was applied; the agent does not run, so drift goes unnoticed.", False
    if unpublished_orders(document):
        return f"{controller}: {name} is in force; the watchdog's orders could not be published.", False
    if unpublished := [one for one in document.get("names", ()) if one["failures"] >= LASTING_FAILURES]:
        return f"{controller}: {name} is in force; {unpublished[0]['name']} cannot be published here.", False
    if document.get("holds"):
        return f"{controller}: {name} is in force, with {len(document['holds'])} held.", False
    return f"{controller}: {name} is in force; live state matches.", True


def lasting_drift(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Drift that is present now. Leaves out held facts: a missing NIC is one problem, not two."""
    held = [(hold["key"], hold["why"]) for hold in document.get("holds", ())]
    return [
        item
        for item in document.get("drift", ())
        if not item.get("gone_since_s") and not any(key == item["key"] or why in item["text"] for key, why in held)
    ]


def recurring_drift(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Drift that came and went several times and is absent now. The agent resolves it when it stays away."""
    return [item for item in document.get("drift", ()) if item.get("gone_since_s")]


def unpublished_orders(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Reasons for which the orders of the revision could not be published to the watchdog."""
    return [alert for alert in document.get("matters", ()) if alert["kind"] == "orders-unpublished"]
