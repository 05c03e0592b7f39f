"""Which references a push may change: the followed branch, and plans that move nothing.

Decides by the names and ids that git hands to a pre-receive hook (githooks(5)). Does not look into the commits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: A push to `refs/plan/NAME` is planned and never kept.
PLAN_PREFIX: Final = "refs/plan/"
#: What hagit keeps for itself in the repository.
INTERNAL_PREFIX: Final = "refs/hagit/"
ZERO: Final = "0" * 40
#: A push of more references than this is not read any further.
UPDATES_MAX: Final = 16
_LINE: Final = re.compile(r"([0-9a-f]{40}) ([0-9a-f]{40}) (refs/[^\s]{1,200})")


class PushPurpose(StrEnum):
    """What a push is for."""

    DEPLOY = "deploy"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """A reference and the full ids before and after; ZERO where there is none."""

    old: str
    new: str
    name: str


@dataclass(frozen=True, slots=True)
class PushIntent:
    """A push that may be judged: its purpose and its one update."""

    purpose: PushPurpose
    update: RefUpdate


@dataclass(frozen=True, slots=True)
class PushRefusal:
    """Why a push is refused, and what helps."""

    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}\n  {self.remedy}" if self.remedy else self.what


def updates_of(text: str) -> tuple[RefUpdate, ...] | PushRefusal:
    """The updates in the lines of a hook."""
    lines = text.splitlines()
    if len(lines) > UPDATES_MAX:
        return PushRefusal(f"a push changes at most one reference, and this one changes {len(lines)}")
    found = [_LINE.fullmatch(line) for line in lines]
    if not lines or not all(found):
        return PushRefusal("git named no reference that can be read")
    return tuple(RefUpdate(match[1], match[2], match[3]) for match in found if match is not None)


def push_intent(updates: tuple[RefUpdate, ...], branch: str) -> PushIntent | PushRefusal:
    """What a push with these updates is for, or why it is refused. `branch`: the followed one, `main`."""
    served = f"refs/heads/{branch}"
    offer = f"push to {branch}, or to {PLAN_PREFIX}NAME to see the plan only"
    if len(updates) != 1:
        return PushRefusal(f"one push changes one reference, and this one changes {len(updates)}", offer)
    update = updates[0]
    if update.name.startswith(PLAN_PREFIX):
        if update.new == ZERO:
            return PushRefusal(f"{update.name} cannot be deleted: a plan is never kept")
        return PushIntent(PushPurpose.PLAN, update)
    if update.name != served:
        return PushRefusal(f"{update.name} is not served here: this pair follows {branch}", offer)
    if update.new == ZERO:
        return PushRefusal(f"{branch} cannot be deleted: both controllers follow it")
    return PushIntent(PushPurpose.DEPLOY, update)
