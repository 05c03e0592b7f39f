"""`python -m reconciler.demo`: run the demonstration; with KEEP=1 in the environment keep the pair running afterwards.

Exits with 1 when a step did not end as announced. Removes everything that it made, however it ends.
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

from reconciler.demo.configuration_story import ConfigurationStory
from reconciler.demo.failover_story import FailoverStory
from reconciler.demo.interactive import keep_running, usage_hints
from reconciler.demo.repository import Repository
from reconciler.demo.testbed import Testbed, enter_user_namespace
from reconciler.errors import HagitError

#: Exit status of a command that Ctrl-C ended (128 + SIGINT).
INTERRUPTED: Final = 130
#: Waits until the demonstration has ended, in whatever way, and removes its directory.
_SWEEPER: Final = 'cat >/dev/null; until rm -rf -- "$0" 2>/dev/null; do sleep 0.1; done'


def main() -> int:
    """Build the testbed, run the steps, remove everything."""
    enter_user_namespace()
    # A signal must not keep it from cleaning up.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        return _run()
    except KeyboardInterrupt:
        print("\nInterrupted; everything is removed.")
        return INTERRUPTED
    except (HagitError, RuntimeError, AssertionError) as error:
        print(f"\nThe demonstration failed: {error}", file=sys.stderr)
        return 1


def _run() -> int:
    began_s = time.monotonic()
    with _directory() as directory, Testbed() as testbed, _signals_ignored_at_end():
        repository = Repository(directory)
        story = ConfigurationStory(testbed, repository)
        story.run()
        pair = FailoverStory(testbed, repository, story.number)
        pair.run()
        took_s = time.monotonic() - began_s
        where = "in namespaces that are still there" if os.environ.get("KEEP") else "in namespaces that are gone now"
        pair.step("That was it", f"Everything above ran on this machine's own kernel within {took_s:.0f} s, {where}.")
        if os.environ.get("KEEP"):
            print(usage_hints(pair), flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                keep_running(pair)
    return 0


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """A temporary directory that is removed afterwards, even when this process is killed."""
    path = Path(tempfile.mkdtemp(prefix="hagit-demo-"))
    # Files that a killed daemon leaves behind are removed with it.
    (path / "tmp").mkdir()
    os.environ["TMPDIR"] = str(path / "tmp")
    command = ["sh", "-c", _SWEEPER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        # Leaving closes its input and waits for it.
        yield path


@contextlib.contextmanager
def _signals_ignored_at_end() -> Iterator[None]:
    """Ignore signals while cleaning up: a second Ctrl-C must leave nothing behind."""
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
