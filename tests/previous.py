"""The code of the first release, as it was: what a pair that is being upgraded runs on its other controller."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
#: The revision whose formats every later one has to live with. It stays what it is.
REVISION: Final = "2851d64"


def previous_release(directory: Path) -> Path:
    """Unpack that revision into a directory. Fails where the history of this checkout does not reach back to it."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", REVISION], capture_output=True)
    assert archive.returncode == 0, (
        f"revision {REVISION} is not in {ROOT}: pairs of two releases need a clone with its whole history "
        f"(git fetch --unshallow); git says: {archive.stderr.decode().strip()}"
    )
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive.stdout, check=True)
    return directory
