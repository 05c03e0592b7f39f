"""Debian's udev for an emulated machine: the daemon and its rules, never installed on the host.

Decides where it comes from (the package that apt would install now) and where it is kept: unpacked into one tree in the
lab's cache, named by its version. A machine under systemd that has the tree among its own (`Machine(trees=...)`) starts
udevd at boot, as Debian does. Does not know the names of a machine's disks.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from tests.lab.debian_trees import tree
from tests.lab.step import LISTS, ImageError, Progress, run

#: Parts of the package for the guest's /usr: Debian's merged one, which packages of its older layout do not know.
PARTS = ("bin", "lib/systemd", "lib/udev")


def udev(progress: Progress = lambda text: None) -> Path:
    """Return the tree whose `usr` goes over a guest's; makes it if the cache has none. Raises ImageError."""
    return tree("udev", _newest, progress)


def _newest(cache: Path, progress: Progress) -> Path:
    """Return the tree of the package that apt would install now."""
    shown = run(["apt-cache", "show", "--no-all-versions", "udev"], cache, LISTS)
    found = re.search(r"^Version: (\S+)", shown, re.MULTILINE)
    if found is None:
        raise ImageError(f"apt knows no package udev{LISTS}")
    made = cache / f"udev-{found[1].replace(':', '_')}"
    if not made.is_dir():
        _unpack(found[1], made, progress)
    return made


def _unpack(version: str, made: Path, progress: Progress) -> None:
    """Download the package and keep the files that a machine needs."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=made.parent) as name:
        work = Path(name)
        progress(f"lab: downloading udev {version} (2 MB)")
        run(["apt-get", "-q", "download", f"udev={version}"], work, LISTS)
        (archive,) = work.glob("*.deb")
        run(["dpkg-deb", "-x", archive.name, "package"], work)
        for part in PARTS:
            shutil.copytree(work / "package" / part, work / "tree/usr" / part, symlinks=True)
        (work / "tree").rename(made)
