"""Debian's udev for an emulated machine: the daemon and its rules, never installed on the host.

Decides where it comes from (what apt would install now) and where it is kept: unpacked into one tree in the lab's
cache, named by its version. A machine under systemd that has the tree among its own (`Machine(trees=...)`) begins
udevd at boot, as Debian does. Does not know what the disks of a machine are called.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from tests.lab.image import alone, cache_directory
from tests.lab.step import LISTS, ImageError, Progress, run

#: What of the package goes into the guest's /usr: Debian's merged one, which packages of its older layout do not know.
PARTS = ("bin", "lib/systemd", "lib/udev")
#: Trees that are kept; the oldest go.
TREES_MAX = 2


def udev(progress: Progress = lambda text: None) -> Path:
    """The tree whose `usr` goes over a guest's; made where the cache has none. Raises ImageError.

    Without apt or a network a tree that the cache has serves as well.
    """
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache / "lock"):
        try:
            made = _newest(cache, progress)
        except ImageError as error:
            if not (cached := _trees(cache)):
                raise
            made = cached[-1]
            progress(f"lab: {error}; going on with {made.name}")
        os.utime(made)
        for old in _trees(cache)[:-TREES_MAX]:
            shutil.rmtree(old)
    return made


def _trees(cache: Path) -> list[Path]:
    """Those in the cache, the one that was used last at the end."""
    return sorted(cache.glob("udev-*"), key=lambda path: path.stat().st_mtime)


def _newest(cache: Path, progress: Progress) -> Path:
    """The tree of what apt would install now."""
    shown = run(["apt-cache", "show", "--no-all-versions", "udev"], cache, LISTS)
    found = re.search(r"^Version: (\S+)", shown, re.MULTILINE)
    if found is None:
        raise ImageError(f"apt knows no package udev{LISTS}")
    made = cache / f"udev-{found[1].replace(':', '_')}"
    if not made.is_dir():
        _unpack(found[1], made, progress)
    return made


def _unpack(version: str, made: Path, progress: Progress) -> None:
    """Downloads the package and keeps what a machine needs of it."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=made.parent) as name:
        work = Path(name)
        progress(f"lab: downloading udev {version} (2 MB)")
        run(["apt-get", "-q", "download", f"udev={version}"], work, LISTS)
        (archive,) = work.glob("*.deb")
        run(["dpkg-deb", "-x", archive.name, "package"], work)
        for part in PARTS:
            shutil.copytree(work / "package" / part, work / "tree/usr" / part, symlinks=True)
        (work / "tree").rename(made)
