"""Kernel modules that only a few machines need: they come from a share and are loaded after the boot."""

from __future__ import annotations

import shlex
from typing import Final

from tests.lab.image import Image, module_files
from tests.lab.machine import Machine, Share

LOAD_S: Final = 120


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
