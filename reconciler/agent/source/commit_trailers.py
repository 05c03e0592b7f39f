"""Trailers of a commit message that name its pair and branch, and the floor of a first adoption.

A signature proves the author of a commit, not the pair it is meant for. `Hagit-Pair:` and `Hagit-Branch:` in the last
paragraph of a message are signed with it; a commit that names another pair or branch is never followed here. The node
file may require them of the tip ([trust] pair), and may name a commit that the first adopted history must contain
([trust] floor). A commit that is meant for several pairs names each. In a repository of many pairs, commits that leave
the folder of this pair as it was may name others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from reconciler.errors import HistoryRefused, SignatureRefused
from reconciler.system.git.history import Advance, CommitInfo
from reconciler.system.node import Trust

PAIR: Final = "Hagit-Pair"
BRANCH: Final = "Hagit-Branch"


def require_addressed(step: Advance, trust: Trust, branch: str, tip: str, concerns: Callable[[str], bool]) -> None:
    """Raise SignatureRefused for a commit meant for others, HistoryRefused for a first history without the floor.

    `tip`: the commit that must say for which pair and branch it is; `concerns`: whether a commit changes this pair.
    """
    if step.first and trust.floor and not any(commit.id.startswith(trust.floor) for commit in step.commits):
        raise HistoryRefused(
            f"the history of {step.head} does not contain {trust.floor}, the floor of the first adoption",
            remedy="fetch from a remote that is not behind; the floor is in the node file, [trust] floor",
        )
    for commit in step.commits:
        for name, wanted in ((PAIR, trust.pair), (BRANCH, branch)):
            named = trailers(commit.message, name)
            if wanted and named and wanted not in named and (name == BRANCH or concerns(commit.id)):
                raise _meant_for_another(commit, f"{name}: {', '.join(named)}", wanted)
    if trust.pair:
        _require_named(step, tip, trust.pair, branch)


def trailers(message: str, name: str) -> list[str]:
    """The values of a trailer in the last paragraph of a message (git-interpret-trailers(1))."""
    last = message.strip().rpartition("\n\n")[2]
    return re.findall(rf"^{re.escape(name)}:[ \t]*(\S+)[ \t]*$", last, re.MULTILINE | re.IGNORECASE)


def _require_named(step: Advance, tip: str, pair: str, branch: str) -> None:
    newest = next((commit for commit in step.commits if commit.id == tip), None)
    for name, wanted in ((PAIR, pair), (BRANCH, branch)):
        if newest is not None and not trailers(newest.message, name):
            raise SignatureRefused(
                f"{newest.short} does not say that it is meant for here: its message has no line {name}: {wanted}",
                remedy=f'git commit --amend -S --trailer "{name}: {wanted}"; the node file asks for it, [trust] pair',
            )


def _meant_for_another(commit: CommitInfo, said: str, wanted: str) -> SignatureRefused:
    return SignatureRefused(
        f"{commit.short} is meant for another pair or branch: it says {said}, and here is {wanted}",
        remedy="push it where it belongs; [trust] pair in the node file says which pair this is",
    )
