"""Debian's programs of NFS for an emulated machine, server and client; never installed on the host.

Decides where they come from (the packages that apt would install now) and where they are kept: unpacked into one tree
in the cache of the lab, named by their version. A machine that shares it runs `laid_over` once: then `/usr` has them.
Their modules are `MODULES` of `image.module_files`. Does not know what is exported.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from tests.lab.debian_trees import tree
from tests.lab.step import LISTS, ImageError, Progress, run

#: The first one names the tree. The libraries that a Debian system has in any case are the host's.
PACKAGES: Final = ("nfs-kernel-server", "nfs-common", "libnfsidmap1")
#: Parts of the packages for the guest's /usr: Debian's merged one, which packages of its older layout do not know.
PARTS: Final = ("sbin", "usr/sbin", "usr/lib")
#: The kernel's server and client of NFS. The client's modules of each version load when a version is mounted.
MODULES: Final = ("nfsd", "nfsv4", "nfsv3")


def nfs_utils(progress: Progress = lambda text: None) -> Path:
    """Return the tree whose `usr` goes over a guest's; makes it if the cache has none. Raises ImageError."""
    return tree("nfs-utils", _newest, progress)


def laid_over(tree: Path) -> str:
    """Return the shell command that lays the tree over the `/usr` of a machine that shares it."""
    return f"mount -t overlay -o ro,lowerdir={tree}/usr:/usr overlay /usr"


def _newest(cache: Path, progress: Progress) -> Path:
    """Return the tree of the packages that apt would install now."""
    shown = run(["apt-cache", "show", "--no-all-versions", PACKAGES[0]], cache, LISTS)
    found = re.search(r"^Version: (\S+)", shown, re.MULTILINE)
    if found is None:
        raise ImageError(f"apt knows no package {PACKAGES[0]}{LISTS}")
    made = cache / f"nfs-utils-{found[1].replace(':', '_')}"
    if not made.is_dir():
        _unpack(found[1], made, progress)
    return made


def _unpack(version: str, made: Path, progress: Progress) -> None:
    """Download the packages and keep the files that a machine needs."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=made.parent) as name:
        work = Path(name)
        progress(f"lab: downloading nfs-utils {version} (1 MB)")
        run(["apt-get", "-q", "download", *(f"{package}={version}" for package in PACKAGES)], work, LISTS)
        for archive in sorted(work.glob("*.deb")):
            run(["dpkg-deb", "-x", archive.name, "package"], work)
        for part in PARTS:
            place = work / "tree/usr" / part.removeprefix("usr/")
            shutil.copytree(work / "package" / part, place, symlinks=True, dirs_exist_ok=True)
        (work / "tree").rename(made)
