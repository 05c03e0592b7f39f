"""Which commit each line of a file came with, so that a plan can say who asks for a change.

Decides nothing. The first question about a file walks its history, at most 400 changes of it back; a line older than
that counts for the oldest one walked. Later questions go on from the last answer, so following a branch costs a
millisecond a commit. It does not follow renames.
"""

from __future__ import annotations

from dataclasses import dataclass

import pygit2
from pygit2.enums import SortMode

from reconciler.errors import SourceError
from reconciler.system.git.defects import hagit_errors
from reconciler.system.git.mirror import Mirror

REVISIONS_MAX = 400
WALKED_MAX = 10_000
_REMEMBERED_MAX = 200


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was found out about one path: at which commit, and a commit id for each line."""

    commit: pygit2.Oid
    lines: tuple[str, ...]


class Authorship:
    """Answers for the files of one mirror; keeps the latest answer for each path. For one thread."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._answers: dict[str, _Answer] = {}

    def of(self, commit_id: str, path: str) -> tuple[str, ...]:
        """The commit (full id) that each line of `path` at `commit_id` came with; the first is line 1.

        Raises SourceError when the file or the commit is not there.
        """
        commit = self._mirror.commit(commit_id)
        with hagit_errors(f"{path}@{commit_id[:7]}"):
            blob = _blob_of(commit, path)
            if blob is None:
                raise SourceError(f"there is no file {path}", where=f"commit {commit_id[:7]}")
            known = self._answers.pop(path, None)
            answer = _Answer(commit.id, self._found(commit, path, known))
            self._answers[path] = answer
            while len(self._answers) > _REMEMBERED_MAX:
                self._answers.pop(next(iter(self._answers)))
            return answer.lines

    def _found(self, commit: pygit2.Commit, path: str, known: _Answer | None) -> tuple[str, ...]:
        repository = self._mirror.repository
        if known is not None and known.commit == commit.id:
            return known.lines
        if known is not None and not repository.descendant_of(commit.id, known.commit):
            known = None
        oldest = known.commit if known is not None else self._bound(commit, path)
        lines: list[str] = []
        for hunk in repository.blame(path, newest_commit=commit.id, oldest_commit=oldest):
            first = hunk.orig_start_line_number - 1
            if known is not None and hunk.final_commit_id == known.commit:
                lines += known.lines[first : first + hunk.lines_in_hunk]
            else:
                lines += [str(hunk.final_commit_id)] * hunk.lines_in_hunk
        return tuple(lines)

    def _bound(self, commit: pygit2.Commit, path: str) -> pygit2.Oid | None:
        """The commit at which to stop looking back; None: the whole history is short enough."""
        changes = 0
        for count, one in enumerate(self._mirror.repository.walk(commit.id, SortMode.TOPOLOGICAL)):
            before = _blob_of(one.parents[0], path) if one.parents else None
            changes += _blob_of(one, path) != before
            if changes >= REVISIONS_MAX or count >= WALKED_MAX:
                return one.id
        return None


def _blob_of(commit: pygit2.Commit, path: str) -> pygit2.Oid | None:
    try:
        return commit.tree[path].id
    except KeyError:
        return None
