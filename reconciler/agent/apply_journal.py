"""The write-ahead journal of an apply: what will be done, then each action before and after it is done.

The plan is written and synced before the first action, so that even after a power cut it is known what was intended.
The lines of single actions are written but not synced: they matter after the death of this process (then the kernel
holds them safely), and after a power cut the network state they speak of is gone anyway.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from reconciler.agent.store import boot_identity
from reconciler.core.facts.codec import fact_document, fact_from_document
from reconciler.core.facts.fact import Fact
from reconciler.core.planning.plan import Plan
from reconciler.system.files import PRIVATE, read_bytes, read_lines, state_error

#: The last line is looked for in so much of the journal before all of it is read.
END_BYTES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class InterruptedApply:
    """An apply that did not end: `started` actions of `total` were begun, `done` of them finished.

    `made` holds the facts whose actions were begun, in order, `intended` those of the whole plan. Not `lasting`: it was
    in another boot or network namespace, so that nothing of it is left.
    """

    revision: str
    started: int
    done: int
    total: int
    made: tuple[Fact, ...]
    intended: tuple[Fact, ...]
    lasting: bool


class ApplyJournal:
    """Writes the journal of one apply. Raises StateError before anything is done when there is no room for it."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path = path
        self._plan = plan
        self._handle = -1

    def __enter__(self) -> ApplyJournal:
        try:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
            after = [fact_document(action.after) if action.after else None for action in self._plan.actions]
            self._write({"begin": self._plan.base.revision, "boot": boot_identity(), "after": after})
            os.fsync(self._handle)
        except OSError as error:
            raise state_error(self._path, error, "write the journal") from error
        return self

    def started(self, index: int) -> None:
        """Action `index` is about to be done. Raises StateError, and then it must not be done."""
        self._mark(b'{"s":%d}\n' % index)

    def done(self, index: int) -> None:
        """Action `index` has been done and looked at."""
        self._mark(b'{"d":%d}\n' % index)

    def ended(self, outcome: str) -> None:
        """The apply has ended, whichever way."""
        try:
            self._write({"end": outcome})
        except OSError as error:
            raise state_error(self._path, error, "write the journal") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)

    def _mark(self, line: bytes) -> None:
        try:
            if os.write(self._handle, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise state_error(self._path, error, "write the journal") from error

    def _write(self, document: Mapping[str, Any]) -> None:
        content = json.dumps(document, separators=(",", ":")).encode() + b"\n"
        written = 0
        while written < len(content):
            written += os.write(self._handle, content[written:])


def close_interrupted(path: Path) -> None:
    """End the journal of an apply that was cut off, when what only it knew has been done. Raises StateError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            # The line before may have been torn.
            os.write(handle, b'\n{"end":"taken up again"}\n')
        finally:
            os.close(handle)
    except OSError as error:
        raise state_error(path, error, "write the journal") from error


def read_interrupted(path: Path) -> InterruptedApply | None:
    """The apply that was cut off, if the last one was."""
    if b'\n{"end":' in (read_bytes(path) or b"")[-END_BYTES_MAX:]:
        return None
    lines = read_lines(path)
    if not lines or "begin" not in lines[0] or any("end" in line for line in lines[1:]):
        return None
    # An action that waits for a refused one is passed over, so the lines name every action that was begun.
    started = {line["s"] for line in lines if "s" in line}
    done = sum(1 for line in lines if "d" in line)
    after = [_known(document) for document in lines[0]["after"]]
    made = tuple(fact for index, fact in enumerate(after) if index in started and fact is not None)
    intended = tuple(fact for fact in after if fact is not None)
    lasting = lines[0].get("boot") == boot_identity()
    return InterruptedApply(lines[0]["begin"], len(started), done, len(after), made, intended, lasting)


def _known(document: Mapping[str, Any] | None) -> Fact | None:
    """The fact in a line. One that only a newer hagit knows is passed over: what it made is left alone as foreign."""
    try:
        return fact_from_document(dict(document)) if document else None
    except (KeyError, TypeError, ValueError):
        return None
