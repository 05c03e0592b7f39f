"""What following the source came to: the revision that should be in force, and why it is not a newer one."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.agent.source.content import Content
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError


@dataclass(frozen=True, slots=True)
class Selection:
    """`revision` and `content` are to be in force, None before the first good one.

    `head` is the tip the source gave (None when none did), `refusal` why the revision is not that tip, `remotes` the
    remotes that failed with their reasons, `notes` sentences for people. Not `answered`: the source has not been heard
    since this process began, so nothing is known about it. `asked`: every remote that was tried, and whether it gave
    the branch.
    """

    revision: Revision | None = None
    content: Content | None = None
    head: str | None = None
    refusal: HagitError | None = None
    remotes: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    answered: bool = True
    asked: tuple[tuple[str, bool], ...] = ()
