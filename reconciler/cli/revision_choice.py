"""Chooses the revision that a command works with: the newest, the one that is named, or uncommitted files.

Prints warnings and notes on standard error. The agent decides which commits may be followed (`agent/source/selector`,
`agent/source/admission`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.agent.session import UNCOMMITTED, Content, Session
from reconciler.core.status.revision import Revision
from reconciler.errors import RemoteUnreachable, SourceError, UsageError

if TYPE_CHECKING:
    from reconciler.agent.session import Selection


def choose_revision(session: Session, commit: str | None, directory: Path | None) -> tuple[Revision, Content]:
    """The revision that a command works with, and its content.

    `commit` and `directory` are the options of these names. Raises SourceError with the reason for which the newest
    commit was refused.
    """
    if directory is not None:
        if commit is not None:
            raise UsageError("--revision and --directory exclude each other", remedy="leave one out")
        return Revision(UNCOMMITTED, UNCOMMITTED), session.directory_content(directory)
    selection = session.select()
    weak = session.unsigned_warning()
    if weak is not None:
        print(f"warning: {weak}", file=sys.stderr)
    for remote, why in selection.failed_remotes:
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


def _is_offline(selection: Selection) -> bool:
    """True when no remote delivered a commit; False when a commit, or the host key of a remote, was refused."""
    refusal = selection.refusal
    return selection.head is None and (isinstance(refusal, RemoteUnreachable) or type(refusal) is SourceError)
