"""Debian's udev for an emulated machine: the daemon and its rules, never installed on the host.

A machine under systemd that has the tree among its own (`Machine(trees=...)`) starts udevd at boot, as Debian does.
Does not know the names of a machine's disks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.lab.debian_trees import Packages
from tests.lab.step import Progress

UDEV: Final = Packages("udev", ("udev",), ("bin", "lib/systemd", "lib/udev"), "2 MB")


def udev(progress: Progress = lambda text: None) -> Path:
    """Return the tree whose `usr` goes over a guest's; makes it if the cache has none. Raises ImageError."""
    return UDEV.tree(progress)
