"""Replacing a small file whole: a reader or a crash sees the old content or the new, never a part (rename(2)).

It needs few modules, so the watchdog, which stays small, uses it directly. `files` adds what many writers need: a
temporary file of their own, and errors in words.
"""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Replace a file that has one writer. Raises OSError and leaves the old content. See `fill_and_rename`."""
    temporary = path.with_name(f".{path.name}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    fill_and_rename(handle, temporary, path, content, mode=mode, sync=sync)


def fill_and_rename(handle: int, temporary: Path, path: Path, content: bytes, *, mode: int, sync: bool) -> None:
    """Write the content to `temporary`, which is open as `handle`, close it, and rename it to `path`.

    `sync` makes the change survive a power cut as well. Raises OSError and leaves the old content.
    """
    try:
        os.fchmod(handle, mode)
        left = memoryview(content)
        while left:
            left = left[os.write(handle, left) :]
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(temporary, path)  # noqa: PTH105 - one system call, as the docstring promises
    if sync:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
