"""Chooses the revision that a command works with: the newest, the one that is named, or uncommitted files.

Prints warnings and notes on standard error. The agent decides which commits may be followed (`agent/source/selector`,
`agent/source/admission`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from reconciler.agent.session import Session
from reconciler.agent.source.content import Content, compile_content
from reconciler.agent.source.selection import Selection
from reconciler.agent.source.unsigned_commits import unsigned_warning
from reconciler.core.status.revision import Revision
from reconciler.errors import RemoteUnreachable, SourceError, UsageError

#: Stands in place of branch and commit for files of a directory.
UNCOMMITTED: Final = "uncommitted"


def choose_revision(session: Session, commit: str | None, directory: Path | None) -> tuple[Revision, Content]:
    """The revision that a command works with, and its content.

    `commit` and `directory` are the options of these names. Raises SourceError with the reason for which the newest
    commit was refused.
    """
    if directory is not None:
        if commit is not None:
            raise UsageError("--revision and --directory exclude each other", remedy="leave one out")
        from reconciler.system.git.tree import read_directory

        return Revision(UNCOMMITTED, UNCOMMITTED), compile_content(read_directory(directory), session.node.controller)
    selection = session.select()
    _warn_of_weak_trust(session)
    for remote, why in selection.remotes:
        print(f"note: {remote}: {why}", file=sys.stderr)
    for note in selection.notes:
        print(f"note: {note}", file=sys.stderr)
    if commit is not None:
        revision = session.find_revision(commit)
        return revision, session.content_for(revision)
    if selection.refusal is not None:
        if selection.revision is None or not _is_offline(selection):
            raise selection.refusal
        print(f"note: {selection.refusal}\nnote: going on with {selection.revision.name}", file=sys.stderr)
    if selection.revision is None or selection.content is None:
        raise SourceError("there is no revision to work with", remedy="commit a configuration")
    for warning in selection.content.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return selection.revision, selection.content


def _warn_of_weak_trust(session: Session) -> None:
    weak = unsigned_warning(session.node, session.store.accepted())
    if weak is not None:
        print(f"warning: {weak}", file=sys.stderr)


def _is_offline(selection: Selection) -> bool:
    """True when no remote delivered a commit; False when a commit, or the host key of a remote, was refused."""
    refusal = selection.refusal
    return selection.head is None and (isinstance(refusal, RemoteUnreachable) or type(refusal) is SourceError)
