"""The tip of a branch of a local repository, read from its small files (gitrepository-layout(5)) without a git library.

Whatever is unclear is left to a real look: a name that is a folder now, a link, another storage of references.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Final

from reconciler.errors import StateError
from reconciler.system.files import read_bytes

REF_BYTES_MAX: Final = 4 << 20
_COMMIT: Final = re.compile(rb"[0-9a-f]{40}")


def tip_of(path: Path, branch: str) -> str | None:
    """The tip of a branch of the repository at `path`, None when its files do not tell."""
    directory = path / ".git" if (path / ".git").is_dir() else path
    # `release/1` cannot be read where `release` is a branch now, nor `release` where it is a folder of branches.
    with contextlib.suppress(StateError):
        loose = read_bytes(directory / "refs" / "heads" / branch, REF_BYTES_MAX)
        if loose is not None:
            return loose.strip().decode() if _COMMIT.fullmatch(loose.strip()) else None
        packed = read_bytes(directory / "packed-refs", REF_BYTES_MAX) or b""
        found = re.search(rb"^([0-9a-f]{40}) refs/heads/" + re.escape(branch.encode()) + rb"$", packed, re.MULTILINE)
        return found[1].decode() if found else None
    return None
