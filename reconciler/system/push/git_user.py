"""The user of the system that serves git: its numbers, and the environment and limits of the programs it runs."""

from __future__ import annotations

import os
import pwd
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import StateError

#: The login shell of the git user, which runs git push and git fetch and nothing else.
SHELL_NAME: Final = "hagit-git-shell"
SHELL: Final = Path("/usr/lib/hagit/bin") / SHELL_NAME
#: What one program of git may use for a push: address space, processor time, one file.
GIT_LIMITS: Final = {
    resource.RLIMIT_AS: 1 << 30,
    resource.RLIMIT_CPU: 20,
    resource.RLIMIT_FSIZE: 64 << 20,
    resource.RLIMIT_CORE: 0,
}


@dataclass(frozen=True, slots=True)
class GitUser:
    """A user by name, numbers and login shell (passwd(5))."""

    name: str
    uid: int
    gid: int
    shell: Path

    @property
    def identity(self) -> tuple[int, int] | None:
        """What a child of this process has to become; None when it is that user already, or may become no other."""
        return (self.uid, self.gid) if os.geteuid() == 0 and self.uid != 0 else None


def git_user(name: str) -> GitUser:
    """The user of this name. Raises StateError when there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise StateError(
            f"there is no user {name!r} on this machine",
            where="push.user",
            remedy="install the package, which makes hagit-git, or name another user in [push] of the node file",
        ) from None
    shell = Path(entry.pw_shell)
    if shell.name != SHELL_NAME or entry.pw_uid == 0:
        raise StateError(
            f"the user {name!r} {'is root' if entry.pw_uid == 0 else f'has the shell {shell}'}: whoever has a key "
            "could run commands on this controller",
            where="push.user",
            remedy=f"usermod --shell {SHELL} {name}, or name a user of its own in [push] of the node file",
        )
    return GitUser(entry.pw_name, entry.pw_uid, entry.pw_gid, shell)


def git_environment(repository: Path) -> dict[str, str]:
    """The whole environment of a program of git in this repository: no settings of the machine or of a person.

    The directory belongs to root, so git has to be told that this is meant (git-config(1), safe.directory).
    """
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": str(repository),
    }
