"""Whether a file on this machine is safe from its other users: its owner, its mode, and the directories above it.

Node file, secrets and lists of trusted keys decide what this controller does as root, so only root, or the user who
runs hagit, may be able to change or replace them. Walks the path one name at a time and follows symbolic links as the
kernel does: a user who may write to a directory may replace what its names lead to. Changes nothing.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import Final

#: As many as the kernel follows (path_resolution(7)).
LINKS_MAX: Final = 40
#: What `/proc/self/uid_map` says of a process that is in no user namespace of its own.
_EVERY_USER: Final = ["0", "0", "4294967295"]
_OVERFLOW: Final = Path("/proc/sys/kernel/overflowuid")


class Exposure(str):
    """Why other users could change or replace a file, in words; empty when they cannot. `place`: what is open to them.

    Commands name that place, and no command is read out of the words: a name may hold spaces.
    """

    place: Path

    def __new__(cls, place: Path, what: str = "") -> Exposure:
        """`what` follows the place in the words."""
        made = super().__new__(cls, f"{place} {what}" if what else "")
        made.place = place
        return made


def exposed(path: Path) -> Exposure:
    """Why users other than root and this one could change or replace `path`; empty when they cannot.

    Raises OSError when there is no such file.
    """
    trusted = _trusted()
    names = list(Path(os.path.abspath(path)).parts[1:])  # noqa: PTH100 - links are followed below, one by one
    here, links = Path("/"), 0
    while True:
        status = here.lstat()
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > LINKS_MAX:
                raise OSError(40, "too many symbolic links", str(path))
            if status.st_uid not in trusted:
                return Exposure(here, f"is a symbolic link of user {status.st_uid}")
            target = here.readlink()
            names = [*(target.parts[1:] if target.is_absolute() else target.parts), *names]
            here = Path("/") if target.is_absolute() else here.parent
            continue
        if why := _open_to_others(here, status, trusted):
            return why
        if not names:
            return why
        name = names.pop(0)
        here = here.parent if name == ".." else here / name


def _open_to_others(path: Path, status: os.stat_result, trusted: frozenset[int]) -> Exposure:
    if status.st_uid not in trusted:
        return Exposure(path, f"belongs to user {status.st_uid}")
    if not status.st_mode & 0o022:
        return Exposure(path)
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        # Like /tmp: others may make files there, and neither rename nor remove those of root.
        return Exposure(path)
    return Exposure(path, f"may be changed by others (mode {stat.S_IMODE(status.st_mode):04o})")


def _trusted() -> frozenset[int]:
    """Root and this user. In a user namespace also the number that stands for every user who is not in it."""
    trusted = {0, os.geteuid()}
    if Path("/proc/self/uid_map").read_text().split() != _EVERY_USER:
        trusted.add(int(_OVERFLOW.read_text()))
    return frozenset(trusted)


def remedy(why: Exposure) -> str:
    """The command that ends what `exposed` found."""
    path = shlex.quote(str(why.place))
    return f"run: chown root {path} && chmod go-w {path}; then look whether anything in it was changed"
