"""The tree of the kernel's target below configfs: read, written, linked, with every refusal named.

Linux, Documentation/target/tcm_mod_builder.rst and drivers/target: a directory is an object, a file one of its
attributes, a symbolic link a use of another object. A write may wait in the kernel for as long as a session or a pool
lets it, so a tree has an end: after it, no further change begins. Knows no target.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.system.zfs import tools

CONFIGFS: Final = Path("/sys/kernel/config")
#: An attribute is one page at most (configfs: SIMPLE_ATTR_SIZE).
ATTRIBUTE_BYTES_MAX: Final = 4096
#: ERESTARTSYS. It reaches a program when a volume is opened while another thread holds ZFS's lock of all pools
#: (zvol_open: mutex_tryenter of spa_namespace_lock): try again.
TRY_AGAIN: Final = 512
TRY_AGAIN_S: Final = 0.005
#: Time limit of modprobe(8) and mount(8).
MODULE_S: Final = 10.0
#: Loaded first; the kernel loads the two others itself when their directories are made.
MODULE: Final = "target_core_mod"
MODULES: Final = ("target_core_mod", "target_core_iblock", "iscsi_target_mod")
LOAD: Final = f"run: modprobe -a {' '.join(MODULES)}; kernels for clouds lack them, linux-image-amd64 has them"


class TargetTreeError(Exception):
    """The kernel refused one change of the tree. `remedy` may be empty."""

    def __init__(self, what: str, remedy: str = "", number: int = 0) -> None:
        super().__init__(what)
        self.what, self.remedy, self.number = what, remedy, number


class TreeOverdue(TargetTreeError):
    """The deadline passed before this change began."""


class TargetTree:
    """The tree at `root`/target. All paths are relative to it.

    `end_s`: on the monotonic clock; a change that would begin later raises TreeOverdue.
    """

    def __init__(self, root: Path = CONFIGFS, end_s: float = float("inf")) -> None:
        self.place, self._root, self._end_s = root / "target", root, end_s
        # Joined as text: a tree of 64 disks has some thousand paths.
        self._base = f"{self.place}/"

    def ready(self) -> bool:
        """Whether the kernel's target is loaded."""
        return self.place.is_dir()

    def load(self) -> None:
        """Load the modules and mount configfs, where that is missing. Raises TargetTreeError that names the module."""
        if not self.ready():
            # Loading the module mounts nothing, and configfs is a module itself.
            self._run("modprobe", "--", MODULE)
            if not self.ready():
                self._run("mount", "-t", "configfs", "configfs", str(self._root))
        if not self.ready():
            raise TargetTreeError(f"the kernel module {MODULE} is not loaded", LOAD)
        try:
            (self.place / "iscsi").mkdir(exist_ok=True)
        except OSError as error:
            raise TargetTreeError(f"the kernel module {MODULES[2]} is not loaded: {error.strerror}", LOAD) from error

    def _run(self, *words: str) -> None:
        outcome = tools.run(words, deadline_s=max(0.1, min(MODULE_S, self._end_s - time.monotonic())))
        self._fault = tools.fault_of(outcome)

    def read(self, path: str) -> str:
        """Return an attribute without its line end; "" if it is not there. Raises TargetTreeError."""
        try:
            descriptor = os.open(self._base + path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise self._refused(path, "read", error) from error
        try:
            return os.read(descriptor, ATTRIBUTE_BYTES_MAX).decode(errors="replace").removesuffix("\n")
        except OSError as error:
            raise self._refused(path, "read", error) from error
        finally:
            os.close(descriptor)

    def write(self, path: str, value: str, *, secret: bool = False) -> None:
        """Write an attribute. Raises TargetTreeError, which repeats no value that is `secret`."""
        shown = f"write {'a secret' if secret else repr(value)} to"
        while True:
            self._in_time(path)
            try:
                descriptor = os.open(self._base + path, os.O_WRONLY | os.O_CLOEXEC)
            except OSError as error:
                raise self._refused(path, shown, error) from error
            try:
                os.write(descriptor, value.encode())
            except OSError as error:
                if error.errno != TRY_AGAIN:
                    raise self._refused(path, shown, error) from error
                time.sleep(TRY_AGAIN_S)
            else:
                return
            finally:
                os.close(descriptor)

    def make(self, path: str) -> bool:
        """Make an object, unless it is there. Returns whether it is new. Raises TargetTreeError."""
        self._in_time(path)
        try:
            os.mkdir(self._base + path)  # noqa: PTH102
        except FileExistsError:
            return False
        except OSError as error:
            raise self._refused(path, "make", error) from error
        return True

    def link(self, path: str, to: str) -> None:
        """Make a use of the object `to`, which is a path of this tree. Raises TargetTreeError."""
        self._in_time(path)
        try:
            os.symlink(self._base + to, self._base + path)  # noqa: PTH211
        except OSError as error:
            raise self._refused(path, f"link {to} as", error) from error

    def unlink(self, path: str) -> None:
        """End a use, unless it is gone. Raises TargetTreeError."""
        self._in_time(path)
        try:
            os.unlink(self._base + path)  # noqa: PTH108
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._refused(path, "unlink", error) from error

    def remove(self, path: str) -> None:
        """Remove an object, unless it is gone. Raises TargetTreeError."""
        self._in_time(path)
        try:
            os.rmdir(self._base + path)  # noqa: PTH106
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._refused(path, "remove", error) from error

    def objects(self, path: str, prefix: str = "") -> tuple[str, ...]:
        """Return the names of the objects in a directory, sorted; none if it is not there. Raises TargetTreeError."""
        return tuple(sorted(name for name, link in self._entries(path) if not link and name.startswith(prefix)))

    def links(self, path: str) -> dict[str, str]:
        """Return the uses in an object: name and path in this tree, "" for a path outside. Raises TargetTreeError."""
        found = {}
        for name, link in self._entries(path):
            if link:
                try:
                    to = os.readlink(f"{self._base}{path}/{name}")  # noqa: PTH115
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise self._refused(f"{path}/{name}", "read", error) from error
                # configfs shows the way up to its root and then the whole path (configfs_get_link).
                inside = to.lstrip("./")
                found[name] = inside.removeprefix(f"{self.place.name}/") if inside.startswith(self.place.name) else ""
        return found

    def _entries(self, path: str) -> Iterator[tuple[str, bool]]:
        """Yield names of objects (False) and links (True), not of attributes."""
        try:
            with os.scandir(self._base + path) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        yield entry.name, True
                    elif entry.is_dir(follow_symlinks=False):
                        yield entry.name, False
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._refused(path, "list", error) from error

    def _in_time(self, path: str) -> None:
        if time.monotonic() >= self._end_s:
            raise TreeOverdue(f"no time was left for {path}")

    @staticmethod
    def _refused(path: str, doing: str, error: OSError) -> TargetTreeError:
        why = os.strerror(error.errno) if error.errno else str(error)
        remedy = "see what `dmesg` says" if error.errno in (errno.EINVAL, errno.EPERM) else ""
        return TargetTreeError(f"the kernel refuses to {doing} {path}: {why}", remedy, error.errno or 0)
