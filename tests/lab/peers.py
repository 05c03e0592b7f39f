"""Pacemaker and corosync for an emulated machine, to compare hagit with; never installed on the host.

Decides which packages (Debian's, with dependencies that the host lacks) and where to keep them: unpacked into one tree
in the lab's cache, named by the version of Pacemaker and a digest of all of them. A machine that shares the tree runs
`laid_over` once: then its `/usr` has them. Does not know how a cluster is configured.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from urllib.parse import unquote

from tests.lab.debian_trees import tree
from tests.lab.step import LISTS, ImageError, Progress, run

__all__ = ["ImageError", "laid_over", "peers"]

#: No crmsh and no pcs: cibadmin(8) takes the whole configuration. `fence-agents` has fence_scsi(8).
PACKAGES = ("pacemaker", "pacemaker-cli-utils", "corosync", "resource-agents", "fence-agents", "sg3-utils")


def peers(progress: Progress = lambda text: None) -> Path:
    """Return the tree whose `usr` goes over a guest's; makes it if the cache has none. Raises ImageError."""
    return tree("peers", _newest, progress)


def laid_over(tree: Path) -> str:
    """Return the shell command that lays the tree over the `/usr` of a machine that shares it, unless that is done."""
    usr = tree / "usr"
    return f"[ -e /usr/sbin/pacemakerd ] || mount -t overlay -o ro,lowerdir={usr}:/usr overlay /usr"


def _newest(cache: Path, progress: Progress) -> Path:
    """Return the tree of the packages that apt would install now."""
    archives = _archives(cache)
    made = cache / _name(archives)
    if not made.is_dir():
        _unpack(archives, made, progress)
    return made


def _archives(cache: Path) -> list[str]:
    """Return the files of the packages that apt would install here now, `NAME_VERSION_ARCHITECTURE.deb`."""
    words = ["--print-uris", "--no-install-recommends", "install", *PACKAGES]
    with tempfile.TemporaryDirectory(prefix="asking-", dir=cache) as empty:
        (Path(empty) / "partial").mkdir()
        # Apt names only packages that it has not downloaded yet.
        told = run(["apt-get", "-qq", "-o", f"Dir::Cache::archives={empty}", *words], cache, LISTS)
    return sorted(re.findall(r"^'\S+' (\S+\.deb) ", told, re.MULTILINE))


def _name(archives: list[str]) -> str:
    # Quoted as apt does it: the colon of an epoch would end a directory of an overlay.
    versions = [name.split("_")[1] for name in archives if name.startswith("pacemaker_")]
    digest = hashlib.sha256("\n".join(archives).encode()).hexdigest()[:8]
    return f"peers-{versions[0] if versions else 'host'}_{digest}"


def _unpack(archives: list[str], made: Path, progress: Progress) -> None:
    """Download the packages and unpack them into one tree."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=made.parent) as name:
        work = Path(name)
        (work / "tree/usr").mkdir(parents=True)
        progress(f"lab: downloading Pacemaker: {len(archives)} packages (6 MB)")
        wanted = [f"{package}={unquote(version)}" for package, version, _ in (name.split("_") for name in archives)]
        if wanted:
            run(["apt-get", "-q", "download", *wanted], work, LISTS)
        for archive in sorted(work.glob("*.deb")):
            run(["dpkg-deb", "-x", archive.name, "tree"], work)
        (work / "tree").rename(made)
