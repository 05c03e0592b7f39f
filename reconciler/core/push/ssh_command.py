"""What a client of the git user asks for over SSH: a push to the repository of the pair, a fetch from it, or neither.

Decides on SSH_ORIGINAL_COMMAND (sshd(8)) alone. It is text of a stranger: it is compared with the few forms that git
sends, and never becomes a part of another command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: The one repository that is served, under the names that a URL may give it.
REPOSITORY: Final = "pair"
COMMAND_LENGTH_MAX: Final = 200
#: git-push(1) and git-fetch(1) send the name of the program and the path in single quotes.
_COMMAND: Final = re.compile(r"git[- ](receive-pack|upload-pack) (?:'([^'\\]*)'|([^'\\\s]+))")
_NAMES: Final = frozenset({"pair", "/pair", "pair.git", "/pair.git", "~/pair", "~/pair.git", "/~/pair", "/~/pair.git"})


class GitService(StrEnum):
    """The program of git that serves a client."""

    PUSH = "receive-pack"
    FETCH = "upload-pack"


@dataclass(frozen=True, slots=True)
class CommandRefusal:
    """Why a client gets nothing, in a sentence that ends with what it can do."""

    why: str


def requested_service(command: str) -> GitService | CommandRefusal:
    """The service that a client asks for, or why it gets none."""
    if not command:
        return CommandRefusal("there is no shell here: this account serves git push and git fetch and nothing else")
    found = _COMMAND.fullmatch(command) if len(command) <= COMMAND_LENGTH_MAX else None
    if found is None:
        return CommandRefusal("this account runs no commands: it serves git push and git fetch and nothing else")
    name = found[2] if found[2] is not None else found[3]
    if name.rstrip("/") not in _NAMES:
        return CommandRefusal(
            f"there is no repository of that name here; the one of the pair is called /{REPOSITORY}: "
            f"ssh://USER@HOST:PORT/{REPOSITORY}"
        )
    return GitService(found[1])
