"""The directory on the state dataset where the kernel's target keeps reservations (its dbroot).

The kernel takes a dbroot only while no backstore exists at all, also none of another program, and writes into it
whenever an initiator changes a reservation with APTPL. Decides whether the state dataset is mounted. Does not know what
is in the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reconciler.errors import StateError
from reconciler.system.files import make_directory
from reconciler.system.shares.iscsi.backstores import DBROOT, foreign_backstores
from reconciler.system.shares.iscsi.configfs import TargetTree, TargetTreeError
from reconciler.system.shares.iscsi.reservation_files import DIRECTORY

MOUNT_POINT: Final = Path("/var/lib/hagit/pool-state")
#: Below the mount point.
NAME: Final = "iscsi"
MOUNTS: Final = Path("/proc/self/mountinfo")
LOST: Final = "persistent reservations of initiators do not survive a failover"


class StateDirectoryError(Exception):
    """The directory cannot be used. `remedy` may be empty."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


def is_mounted(dataset: str, place: Path) -> bool:
    """Whether this filesystem of ZFS is what is mounted at a place (proc_pid_mountinfo(5))."""
    top = ""
    for line in MOUNTS.read_text(errors="replace").splitlines():
        words, _, rest = line.partition(" - ")
        fields, kinds = words.split(), rest.split()
        if len(fields) > 4 and fields[4] == str(place) and len(kinds) > 1:
            top = kinds[1].replace("\\040", " ") if kinds[0] == "zfs" else ""
    return top == dataset


def prepare(tree: TargetTree, dataset: str | None, mount_point: Path) -> Path:
    """Make the directory and tell the kernel, if it uses another one. Returns the directory.

    Raises StateDirectoryError, which says what initiators lose.
    """
    if dataset is None:
        raise StateDirectoryError(f"there is no state dataset: {LOST}")
    if not is_mounted(dataset, mount_point):
        what = f"the state dataset {dataset} is not mounted at {mount_point}: {LOST}"
        raise StateDirectoryError(what, f"run: zfs mount {dataset}, then: systemctl reload hagit-watchdog")
    directory = mount_point / NAME
    try:
        make_directory(directory / DIRECTORY)
        directory.chmod(0o700)
        (directory / DIRECTORY).chmod(0o700)
        if tree.read(DBROOT) != str(directory):
            # With its line end: without one the kernel keeps the end of a longer path that it had before.
            tree.write(DBROOT, f"{directory}\n")
    except (StateError, OSError) as error:
        raise StateDirectoryError(f"{directory}: {error}: {LOST}") from error
    except TargetTreeError as error:
        raise StateDirectoryError(*_in_use(tree, directory, error)) from error
    return directory


def _in_use(tree: TargetTree, directory: Path, error: TargetTreeError) -> tuple[str, str]:
    """Say why the kernel refuses the directory, and what helps."""
    try:
        others = foreign_backstores(tree)
    except TargetTreeError:
        others = []
    if others:
        shown = ", ".join(others[:3]) + (" and others" if len(others) > 3 else "")
        what = f"the kernel takes no directory for reservations while another program has backstores ({shown}): {LOST}"
        return what, "run: systemctl mask rtslib-fb-targetctl.service; remove them with targetcli, then switch over"
    return f"the kernel refuses {directory} for reservations: {error.what}: {LOST}", error.remedy
