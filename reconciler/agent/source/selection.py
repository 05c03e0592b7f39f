"""The result of following the source: the revision that should be in force, and why it is not a newer one."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.agent.source.content import Content
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError


@dataclass(frozen=True, slots=True)
class Selection:
    """`revision` and `content` should be in force; None before the first usable revision.

    `head`: the tip that the source gave, None without an answer. `refusal`: why the revision is not that tip.
    `failed_remotes`: each remote that failed, with the reason. `notes`: sentences for people. Not `source_answered`: no
    answer since this process began, so the state of the source is unknown. `tried_remotes`: every remote that was
    tried, and whether it gave the branch. `refused_state`: the commit whose content cannot be used here: `head`, or in
    a fleet the one to which the state of `head` goes back.
    """

    revision: Revision | None = None
    content: Content | None = None
    head: str | None = None
    refusal: HagitError | None = None
    failed_remotes: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    source_answered: bool = True
    tried_remotes: tuple[tuple[str, bool], ...] = ()
    refused_state: str = ""
