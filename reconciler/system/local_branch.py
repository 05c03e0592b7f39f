"""The tip of a branch of a local repository, read from its small files (gitrepository-layout(5)) without a git library.

Whatever is unclear is left to a real look: a name that is a folder now, a link, another storage of references. What a
git library would wait for without end is found first: a pipe or a device in the place of a file.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.errors import StateError
from reconciler.system.files import read_bytes

REF_BYTES_MAX: Final = 4 << 20
#: Files of a repository that are looked at, at most; what is behind them, the limits of a fetch have to stop.
FILES_MAX: Final = 20_000
#: Where a git library opens files by their names alone.
_OPENED: Final = ("refs", "objects/info", "objects/pack", "info")
_COMMIT: Final = re.compile(rb"[0-9a-f]{40}")


def tip_of(path: Path, branch: str) -> str | None:
    """The tip of a branch of the repository at `path`, None when its files do not tell."""
    directory = _directory(path)
    # `release/1` cannot be read where `release` is a branch now, nor `release` where it is a folder of branches.
    with contextlib.suppress(StateError):
        loose = read_bytes(directory / "refs" / "heads" / branch, REF_BYTES_MAX)
        if loose is not None:
            return loose.strip().decode() if _COMMIT.fullmatch(loose.strip()) else None
        packed = read_bytes(directory / "packed-refs", REF_BYTES_MAX) or b""
        found = re.search(rb"^([0-9a-f]{40}) refs/heads/" + re.escape(branch.encode()) + rb"$", packed, re.MULTILINE)
        return found[1].decode() if found else None
    return None


def odd_file_of(path: Path) -> Path | None:
    """A pipe, socket or device where the repository at `path` has a file; None when there is none."""
    directory = _directory(path)
    for number, file in enumerate(_files(directory)):
        if number >= FILES_MAX:
            break
        with contextlib.suppress(OSError):
            mode = file.stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                return file
    return None


def _directory(path: Path) -> Path:
    return path / ".git" if (path / ".git").is_dir() else path


def _files(directory: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from directory.iterdir()
    for below in _OPENED:
        for place, _, names in os.walk(directory / below):
            yield from (Path(place) / name for name in names)
