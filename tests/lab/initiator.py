"""Debian's iSCSI initiator (open-iscsi) for an emulated machine: iscsid and iscsiadm, never installed on the host.

Decides where it comes from (the packages that apt would install now) and where it is kept: unpacked into one tree in
the lab's cache, named by its version. A machine that shares the tree runs `laid_over` once; then its `/usr` has the
programs and its `/etc` their configuration. Does not know which targets a machine logs in to.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from tests.lab.debian_trees import tree
from tests.lab.step import LISTS, ImageError, Progress, run

__all__ = ["ImageError", "initiator_tree", "laid_over"]

PACKAGES = ("open-iscsi", "libisns0", "libopeniscsiusr")
#: Directories of the packages, in Debian's older layout or its merged one, for the guest's /usr.
PARTS = ("sbin", "lib")


def initiator_tree(progress: Progress = lambda text: None) -> Path:
    """Return the tree whose `usr` goes over a guest's; makes it if the cache has none. Raises ImageError."""
    return tree("initiator", _newest, progress)


def laid_over(tree: Path, name: str) -> str:
    """Return the shell command that gives a machine the programs, and `name` as its initiator name."""
    overlay = f"mount -t overlay -o ro,lowerdir={tree}/usr:/usr overlay /usr"
    etc = f"mkdir -p /etc/iscsi && cp {tree}/etc/iscsi/iscsid.conf /etc/iscsi/ && ldconfig"
    named = f"echo InitiatorName={name} > /etc/iscsi/initiatorname.iscsi"
    return f"{{ [ -e /usr/sbin/iscsid ] || {overlay}; }} && {etc} && {named}"


def _newest(cache: Path, progress: Progress) -> Path:
    """Return the tree of the packages that apt would install now."""
    shown = run(["apt-cache", "show", "--no-all-versions", PACKAGES[0]], cache, LISTS)
    found = re.search(r"^Version: (\S+)", shown, re.MULTILINE)
    if found is None:
        raise ImageError(f"apt knows no package {PACKAGES[0]}{LISTS}")
    made = cache / f"initiator-{found[1].replace(':', '_')}"
    if not made.is_dir():
        _unpack(made, progress)
    return made


def _unpack(made: Path, progress: Progress) -> None:
    """Download the packages and keep the files that a machine needs."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=made.parent) as name:
        work = Path(name)
        progress("lab: downloading open-iscsi (0.5 MB)")
        run(["apt-get", "-q", "download", *PACKAGES], work, LISTS)
        for archive in sorted(work.glob("*.deb")):
            run(["dpkg-deb", "-x", archive.name, "package"], work)
        for part in PARTS:
            for place in (work / "package" / part, work / "package/usr" / part):
                if place.is_dir():
                    shutil.copytree(place, work / "tree/usr" / part, symlinks=True, dirs_exist_ok=True)
        shutil.copytree(work / "package/etc/iscsi", work / "tree/etc/iscsi")
        (work / "tree").rename(made)
