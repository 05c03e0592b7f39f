"""Trees of Debian's packages in the lab's cache: unpacked for machines, never installed on the host.

Decides which tree to use (the one of the version that apt would install now; without apt or a network, the one that was
used last), how packages become a tree, and how a machine lays trees over its `/usr`. Does not know which packages a
machine needs.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.image import alone, cache_directory
from tests.lab.step import LISTS, ImageError, Progress, run

#: Number of trees of each kind to keep; the oldest are removed.
TREES_MAX = 2


@dataclass(frozen=True, slots=True)
class Packages:
    """Packages of one tree.

    `names`: the first one gives the tree its version. `parts`: directories for the guest's /usr, by their names there;
    packages have them below / or below /usr. `etc`: directories of /etc. `size`: of the download, in words.
    """

    kind: str
    names: Sequence[str]
    parts: Sequence[str]
    size: str
    etc: Sequence[str] = ()

    def tree(self, progress: Progress = lambda text: None) -> Path:
        """Return the tree of these packages; makes it if the cache has none. Raises ImageError."""
        return tree(self.kind, self._newest, progress)

    def _newest(self, cache: Path, progress: Progress) -> Path:
        shown = run(["apt-cache", "show", "--no-all-versions", self.names[0]], cache, LISTS)
        found = re.search(r"^Version: (\S+)", shown, re.MULTILINE)
        if found is None:
            raise ImageError(f"apt knows no package {self.names[0]}{LISTS}")
        # The colon of an epoch would end a directory of an overlay.
        made = cache / f"{self.kind}-{found[1].replace(':', '_')}"
        if not made.is_dir():
            progress(f"lab: downloading {self.names[0]} {found[1]} ({self.size})")
            self._unpack(made)
        return made

    def _unpack(self, made: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="building-", dir=made.parent) as name:
            work = Path(name)
            run(["apt-get", "-q", "download", *self.names], work, LISTS)
            for archive in sorted(work.glob("*.deb")):
                run(["dpkg-deb", "-x", archive.name, "package"], work)
            package, result = work / "package", work / "tree"
            for part in self.parts:
                for place in (package / part, package / "usr" / part):
                    if place.is_dir():
                        shutil.copytree(place, result / "usr" / part, symlinks=True, dirs_exist_ok=True)
            for part in self.etc:
                shutil.copytree(package / "etc" / part, result / "etc" / part)
            result.rename(made)


def laid_over(*trees: Path) -> str:
    """Return the shell command that lays trees over the `/usr` of a machine that shares them.

    Give all trees of a machine at once: the kernel stacks only one more overlay upon that of the image.
    """
    lower = ":".join(f"{one}/usr" for one in trees)
    return f"mount -t overlay -o ro,lowerdir={lower}:/usr overlay /usr"


def tree(kind: str, newest: Callable[[Path, Progress], Path], progress: Progress) -> Path:
    """Return the tree `KIND-VERSION` to use. Raises ImageError.

    `newest` returns the current tree, and makes it in the cache if it is missing.
    """
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache / "lock"):
        try:
            made = newest(cache, progress)
        except ImageError as error:
            if not (cached := _trees(cache, kind)):
                raise
            made = cached[-1]
            progress(f"lab: {error}; going on with {made.name}")
        os.utime(made)
        for old in _trees(cache, kind)[:-TREES_MAX]:
            shutil.rmtree(old)
    return made


def _trees(cache: Path, kind: str) -> list[Path]:
    """Return the trees in the cache, the one that was used last at the end."""
    return sorted(cache.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)
