"""`python -m reconciler.demo`: tell the story; with KEEP=1 in the environment leave the pair running afterwards.

Ends with 1 when anything did not come as told, and takes everything away, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.demo.configuration_story import Story
from reconciler.demo.failover_story import Failures
from reconciler.demo.interactive import hint, keep
from reconciler.demo.repository import Repository
from reconciler.demo.testbed import Stage, become_root_of_a_namespace
from reconciler.errors import HagitError

#: Exit status of a command that Ctrl-C ended (128 + SIGINT).
INTERRUPTED: Final = 130
#: Waits until whoever made it is gone, in whatever way, and takes the directory away.
_SWEEPER: Final = 'cat >/dev/null; until rm -rf -- "$0" 2>/dev/null; do sleep 0.1; done'


def main() -> int:
    """Build the stage, tell the story, take everything away."""
    become_root_of_a_namespace()
    # Ended from outside it must clean up as well.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        return _tell()
    except KeyboardInterrupt:
        print("\nInterrupted; everything is taken away again.")
        return INTERRUPTED
    except (HagitError, RuntimeError, AssertionError) as error:
        print(f"\nThe demonstration failed: {error}", file=sys.stderr)
        return 1


def _tell() -> int:
    began_s = time.monotonic()
    with _directory() as directory, Stage() as stage, _undisturbed_end():
        repository = Repository(directory)
        story = Story(stage, repository)
        story.tell()
        pair = Failures(stage, repository, story.number)
        pair.tell()
        took_s = time.monotonic() - began_s
        where = "in namespaces that are still there" if os.environ.get("KEEP") else "in namespaces that are gone now"
        pair.say("That was it", f"Everything above ran on this machine's own kernel within {took_s:.0f} s, {where}.")
        if os.environ.get("KEEP"):
            print(hint(pair), flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                keep(pair)
    return 0


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """A temporary directory that is gone afterwards, even when this process is killed."""
    path = Path(tempfile.mkdtemp(prefix="hagit-demo-"))
    # What a daemon that is killed leaves behind goes with it.
    (path / "tmp").mkdir()
    os.environ["TMPDIR"] = str(path / "tmp")
    command = ["sh", "-c", _SWEEPER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        # Leaving closes its input and waits for it.
        yield path


@contextlib.contextmanager
def _undisturbed_end() -> Iterator[None]:
    """From here on until the end of this process nothing interrupts: a second Ctrl-C must not leave anything behind."""
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
