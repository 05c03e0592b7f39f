"""Kernel modules that only a few machines need, and are not part of the image.

A machine gets them in one of two ways: from a share, loaded after the boot by `load_modules`; or, if it has installed
software (`Machine(trees=...)`), from a tree with modules for modprobe(8), which Debian's kmod loads when they are
needed, as on a real controller.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.lab.debian_trees import Packages
from tests.lab.image import Image, module_files
from tests.lab.machine import Machine, Share

LOAD_S: Final = 120
KMOD: Final = Packages("kmod", ("kmod", "libkmod2"), ("bin", "sbin", "lib"), "0.2 MB")


def modules_tree(image: Image, place: Path, *names: str) -> Path:
    """Make a tree in which modprobe(8) finds these modules and those they need. `place`: where the tree will be."""
    kernel, kmod = image.kernel.parent / "modules", KMOD.tree()
    there = place / "usr/lib/modules" / image.release
    for path in module_files(image, *names):
        copy = there / path.relative_to(kernel)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(kernel / name, there / name)
    # The program decides by its name what it does. Its libraries are also the host's.
    subprocess.run(
        ["depmod", "-b", str(place / "usr"), image.release],
        executable=kmod / "usr/bin/kmod", check=True, timeout=LOAD_S,
        env={"LD_LIBRARY_PATH": f"{kmod}/usr/lib/x86_64-linux-gnu"},
    )  # fmt: skip
    return place


def modules_share(image: Image) -> Share:
    """Return the share that a machine needs for `load_modules`."""
    return Share(image.kernel.parent / "modules")


def load_modules(machine: Machine, image: Image, *names: str) -> None:
    """Load these modules and those they need, except those that are loaded. Raises ImageError for an unknown one."""
    loaded = {line.split()[0] for line in machine.check("cat /proc/modules").splitlines()}
    files = module_files(image, *names)
    missing = [path for path in files if path.name.split(".")[0].replace("-", "_") not in loaded]
    if missing:
        machine.check(" && ".join(f"/lab/bin/busybox insmod {shlex.quote(str(path))}" for path in missing), LOAD_S)
