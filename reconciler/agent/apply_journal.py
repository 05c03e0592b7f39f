"""The write-ahead journal of an apply: the whole plan, then each action before and after it is performed.

The plan is written and synced before the first action, so that it survives even a power cut. The lines of single
actions are not synced: they matter after the death of this process, when the kernel holds them safely. After a power
cut the network state that they describe is gone anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from reconciler.core.facts.codec import fact_document, fact_from_document
from reconciler.core.facts.fact import Fact
from reconciler.core.planning.plan import Plan
from reconciler.system.files import json_line, read_bytes, read_lines
from reconciler.system.journal_file import JournalFile, append_to_journal
from reconciler.system.machine import boot_identity

#: The last line is searched for in this many bytes at the end before the whole journal is read.
END_BYTES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class InterruptedApply:
    """An apply that did not end: `started` actions of `total` were begun, `done` of them finished.

    `made` holds the facts whose actions were begun, in order, `intended` those of the whole plan. Not `lasting`: it ran
    in another boot or network namespace, so nothing of it is left.
    """

    revision: str
    started: int
    done: int
    total: int
    made: tuple[Fact, ...]
    intended: tuple[Fact, ...]
    lasting: bool


class ApplyJournal:
    """Writes the journal of one apply. Raises StateError before the first action when there is no room for it."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self._file = JournalFile(path)
        self._plan = plan

    def __enter__(self) -> ApplyJournal:
        self._file.__enter__()
        after = [fact_document(action.after) if action.after else None for action in self._plan.actions]
        self._write({"begin": self._plan.base.revision, "boot": boot_identity(), "after": after})
        self._file.sync()
        return self

    def started(self, index: int) -> None:
        """Record that action `index` begins now. Raises StateError, and then it must not be performed."""
        self._file.write_at_once(b'{"s":%d}\n' % index)

    def done(self, index: int) -> None:
        """Record that action `index` was performed and verified. Raises StateError."""
        self._file.write_at_once(b'{"d":%d}\n' % index)

    def ended(self, outcome: str) -> None:
        """Record the end of the apply, with or without success. Raises StateError."""
        self._write({"end": outcome})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)

    def _write(self, document: Mapping[str, Any]) -> None:
        self._file.write_whole(json_line(document))


def close_interrupted(path: Path) -> None:
    """End the journal of an interrupted apply, after `mark_interrupted_links` used it. Raises StateError."""
    # The line before may be torn.
    append_to_journal(path, b'\n{"end":"taken up again"}\n')


def read_interrupted(path: Path) -> InterruptedApply | None:
    """The last apply, when it was interrupted; else None."""
    if b'\n{"end":' in (read_bytes(path) or b"")[-END_BYTES_MAX:]:
        return None
    lines = read_lines(path)
    if not lines or "begin" not in lines[0] or any("end" in line for line in lines[1:]):
        return None
    # An action that waits for a refused one is skipped, so the lines name every action that was begun.
    started = {line["s"] for line in lines if "s" in line}
    done = sum(1 for line in lines if "d" in line)
    after = [_known(document) for document in lines[0]["after"]]
    made = tuple(fact for index, fact in enumerate(after) if index in started and fact is not None)
    intended = tuple(fact for fact in after if fact is not None)
    lasting = lines[0].get("boot") == boot_identity()
    return InterruptedApply(lines[0]["begin"], len(started), done, len(after), made, intended, lasting)


def _known(document: Mapping[str, Any] | None) -> Fact | None:
    """The fact in a line; None for a fact of a newer hagit. What that one made stays, as foreign."""
    try:
        return fact_from_document(dict(document)) if document else None
    except (KeyError, TypeError, ValueError):
        return None
