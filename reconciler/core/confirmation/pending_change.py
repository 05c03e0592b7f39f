"""A pending change: its record on disk, and the decision to keep it or to go back.

The record is written before the first action and replaced at each stage, so that after the death of the process, or of
the machine, the next one knows that there is a way back to be taken. Unknown fields of a newer hagit are passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from reconciler.core.confirmation.paths import ProbedPath, path_document, path_from_document
from reconciler.core.facts.fact_kind import Document
from reconciler.core.status.revision import Revision, revision_document, revision_from_document

FORMAT: Final = "hagit.change/1"
#: Every path has to answer this long after the change, too: a link that is about to go down still answers at first.
SETTLE_S: Final = 1.0
#: Paths that a sentence names.
NAMED_MAX: Final = 3


class ChangeStage(StrEnum):
    """APPLYING: the actions are being performed. PENDING: all are done. REVERTING: the way back has begun.

    KEPT and REVERTED are ends.
    """

    APPLYING = "applying"
    PENDING = "pending"
    REVERTING = "reverting"
    KEPT = "kept"
    REVERTED = "reverted"


OPEN_STAGES: Final = frozenset({ChangeStage.APPLYING, ChangeStage.PENDING, ChangeStage.REVERTING})


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingChange:
    """One change that could cut this controller off.

    `back`: the revision to go back to, None before the first one. `was`: the facts to restore besides, as documents.
    `virtual`: the virtual addresses of both revisions, which the watchdog places. `boot`: the boot and namespace that
    the change was made in. `began_s`: wall clock, for people. `done_s`: monotonic, when the last action was done.
    `deadline_s`: monotonic, when it goes back. `paths`: what answered before. `why`: why it ended as it did.
    """

    revision: Revision
    back: Revision | None
    stage: ChangeStage
    boot: str
    began_s: float
    timeout_s: float
    manual: bool = False
    done_s: float = 0.0
    deadline_s: float = 0.0
    paths: tuple[ProbedPath, ...] = ()
    was: tuple[Document, ...] = ()
    virtual: tuple[str, ...] = ()
    why: str = ""

    @property
    def open(self) -> bool:
        """Whether it has neither been kept nor taken back."""
        return self.stage in OPEN_STAGES


class ChangeVerdict(StrEnum):
    """What to do with a change."""

    WAIT = "wait"
    KEEP = "keep"
    REVERT = "revert"


def judge_change(
    change: PendingChange, *, boot: str, now_s: float, silent: Collection[str] | None, answered_for_s: float
) -> tuple[ChangeVerdict, str]:
    """Whether to keep an open change, and why, in words.

    `silent`: names of the paths that do not answer now, None while that is not known. `answered_for_s`: how long all
    have answered.
    """
    if change.stage is ChangeStage.REVERTING:
        return ChangeVerdict.REVERT, change.why
    if change.boot != boot:
        return ChangeVerdict.REVERT, "the controller started again before the change was confirmed"
    if change.stage is ChangeStage.APPLYING:
        return ChangeVerdict.REVERT, "the process that made the change died"
    if not change.manual and silent is not None and not silent and answered_for_s >= SETTLE_S:
        return ChangeVerdict.KEEP, "everything that answered before answers now"
    if now_s >= change.deadline_s:
        if silent:
            return ChangeVerdict.REVERT, f"{names_in_words(silent)} did not answer within {change.timeout_s:g} s"
        return ChangeVerdict.REVERT, f"not confirmed within {change.timeout_s:g} s"
    return ChangeVerdict.WAIT, ""


def names_in_words(names: Collection[str]) -> str:
    """A few names of paths, and the number of the others."""
    first = sorted(names)[:NAMED_MAX]
    rest = len(names) - len(first)
    return ", ".join(first) + (f" and {rest} more" if rest else "")


def change_document(change: PendingChange) -> Document:
    """The record as JSON-able data."""
    return {
        "format": FORMAT,
        "revision": revision_document(change.revision),
        "back": revision_document(change.back) if change.back is not None else None,
        "stage": change.stage.value,
        "boot": change.boot,
        "began_s": change.began_s,
        "timeout_s": change.timeout_s,
        "manual": change.manual,
        "done_s": change.done_s,
        "deadline_s": change.deadline_s,
        "paths": [path_document(path) for path in change.paths],
        "was": list(change.was),
        "virtual": list(change.virtual),
        "why": change.why,
    }


def change_from_document(document: Mapping[str, Any]) -> PendingChange:
    """The change of a record. Raises KeyError, TypeError or ValueError for a damaged one."""
    paths = (path_from_document(path) for path in document["paths"])
    return PendingChange(
        revision=revision_from_document(document["revision"]),
        back=revision_from_document(document["back"]) if document["back"] else None,
        stage=ChangeStage(document["stage"]),
        boot=str(document["boot"]),
        began_s=float(document["began_s"]),
        timeout_s=float(document["timeout_s"]),
        manual=bool(document.get("manual", False)),
        done_s=float(document.get("done_s", 0.0)),
        deadline_s=float(document.get("deadline_s", 0.0)),
        paths=tuple(path for path in paths if path is not None),
        was=tuple(document.get("was", ())),
        virtual=tuple(map(str, document.get("virtual", ()))),
        why=str(document.get("why", "")),
    )
