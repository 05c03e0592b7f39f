"""`python -m reconciler.demo`: tell the story; with KEEP=1 in the environment leave the pair running afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path

from reconciler.demo.files import Repository
from reconciler.demo.stage import Stage, become_root_of_a_namespace
from reconciler.demo.story import Story, hint


def main() -> int:
    """Build the stage, tell the story, take everything away."""
    become_root_of_a_namespace()
    # Ended from outside it must clean up as well.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="hagit-demo-") as directory, Stage() as stage:
        repository = Repository(Path(directory))
        Story(stage, repository).tell()
        if os.environ.get("KEEP"):
            print("\n" + hint(stage, repository), flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
