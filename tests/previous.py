"""The code of the first release, for the other controller of a pair that is being upgraded."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
#: Every later revision must understand the formats of this one. It never changes.
REVISION: Final = "2851d64"


def previous_release(directory: Path) -> Path:
    """Unpack that revision into a directory. Fails if the history of this checkout does not contain it."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", REVISION], capture_output=True)
    assert archive.returncode == 0, (
        f"revision {REVISION} is not in {ROOT}: pairs of two releases need a clone with its whole history "
        f"(git fetch --unshallow); git says: {archive.stderr.decode().strip()}"
    )
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive.stdout, check=True)
    return directory
