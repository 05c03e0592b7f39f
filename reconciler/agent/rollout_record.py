"""What a controller remembers of the revision that its pair takes, and its state as the peer is told it.

    rollout.json     written by the agent: what it has begun, what failed or was refused here, the switchover asked for
    released.json    written for an operator: the commit that `hagit apply` released for the pair

Fields that a newer release adds are ignored, missing ones have a default. A damaged file counts as empty: the state
machine then waits or asks once more, and never applies more than it may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from reconciler.agent.store import Store
from reconciler.core.rollout.rollout_state import RolloutState, ServingRole, clean, role_of
from reconciler.core.status.watchdog import WatchdogStatus
from reconciler.errors import HagitError
from reconciler.system.clock import wall_s
from reconciler.system.files import read_json, write_json
from reconciler.system.node import Node
from reconciler.system.watchdog_client import read_status

RECORD_FILE: Final = "rollout.json"
RELEASED_FILE: Final = "released.json"
#: The name of the request for the peer's state.
ROLLOUT: Final = "rollout"


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """What the agent remembers; see `RolloutState`.

    `refused`: the newest commit, if the source gave one that cannot be used here. `unfit`: a commit whose orders cannot
    be published here. `able_for`: the commit to which `was_able` belongs.
    """

    begun: str = ""
    failed: str = ""
    failed_why: str = ""
    refused: str = ""
    refused_why: str = ""
    unfit: str = ""
    unfit_why: str = ""
    switched: str = ""
    able_for: str = ""
    was_able: bool = False


@dataclass(frozen=True, slots=True)
class ReleasedCommit:
    """The commit that an operator released for the pair last, and when (seconds since 1970)."""

    commit: str = ""
    at_s: float = 0.0


def read_record(store: Store) -> RolloutRecord:
    """The record of the agent; an empty one when the file is missing or damaged."""
    document = _document(store.root / RECORD_FILE)
    kinds: dict[str, type] = {item.name: bool if item.name == "was_able" else str for item in fields(RolloutRecord)}
    found = {name: document.get(name) for name in kinds}
    known: dict[str, Any] = {name: value for name, value in found.items() if type(value) is kinds[name]}
    return RolloutRecord(**known)


def write_record(store: Store, record: RolloutRecord) -> None:
    """Write the record durably: the peer acts on it. Raises StateError."""
    write_json(store.root / RECORD_FILE, asdict(record))


def read_released(store: Store) -> ReleasedCommit:
    """What an operator released last; empty when the file is missing or damaged."""
    document = _document(store.root / RELEASED_FILE)
    commit, at_s = document.get("commit"), document.get("at_s")
    return ReleasedCommit(commit, at_s) if isinstance(commit, str) and isinstance(at_s, float) else ReleasedCommit()


def release(store: Store, commit: str) -> None:
    """Record that an operator releases a commit for the pair now. Raises StateError."""
    write_json(store.root / RELEASED_FILE, asdict(ReleasedCommit(commit, wall_s())))


def watchdog_status(node: Node) -> WatchdogStatus | None:
    """The fresh status of the watchdog; None when there is none."""
    reading = read_status(node)
    return reading.status if reading is not None and reading.fresh else None


def own_state(node: Node, store: Store) -> RolloutState:
    """The state of this controller, from its files and the status of its watchdog."""
    accepted, applied, record = store.accepted(), store.applied(), read_record(store)
    in_force = applied.revision.commit if applied is not None and applied.holds_now() else ""
    refused, refused_why = record.refused or record.unfit, record.refused_why or record.unfit_why
    if accepted.blocked is not None:
        refused, refused_why = accepted.blocked.commit, f"it was rolled back: {accepted.blocked.why}"
    # A change that is not confirmed yet may be taken back, so the peer waits for it as for an apply.
    begun = record.begun or _unconfirmed(store)
    status = watchdog_status(node)
    role = ServingRole.IDLE if node.watchdog is None else ServingRole.UNKNOWN
    return RolloutState(
        controller=node.controller,
        wanted=accepted.wanted.commit if accepted.wanted is not None else "",
        applied=in_force,
        begun=begun,
        failed=record.failed,
        failed_why=clean(record.failed_why),
        refused=refused,
        refused_why=clean(refused_why),
        switched=record.switched,
        role=role if status is None else role_of(status.phase),
        able=status is not None and status.able,
        was_able=record.was_able and record.able_for == in_force,
        ready=status is not None and status.readiness.ready,
        hears=status is not None and any(not channel.silent for channel in status.channels),
        held=len(applied.held) if applied is not None else 0,
    )


def _unconfirmed(store: Store) -> str:
    """The commit of a change that waits for its confirmation here; empty without one."""
    try:
        change = store.change()
    except HagitError:
        return ""
    return change.revision.commit if change is not None and change.open else ""


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = read_json(path)
    except HagitError:
        return {}
    return document if isinstance(document, dict) else {}
