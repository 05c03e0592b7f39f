"""What the daemons make may be read by other users only where `hagit status` needs it, and no lock may be."""

import subprocess

from reconciler.system.files import holder_of
from reconciler.watchdog.main import PUBLIC_FILES
from tests.modes import wide
from tests.watchdog.pair import Pair

STRANGER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/flock", "--nonblock", "--shared")


def test_what_a_pair_of_daemons_makes(pair: Pair) -> None:
    pair.settle()
    for head in (pair.a, pair.b):
        assert wide(head.run, PUBLIC_FILES) == []
        # The orders are those of the test itself; `orders.json` of the agent is private.
        assert [line for line in wide(head.state, ()) if not line.startswith(f"{head.state}/orders.json")] == []
        locks = {path.name for path in head.run.glob("*.lock")}
        assert {"watchdog.lock", "hand.lock"} <= locks
        head.run.chmod(0o755)
        for lock in locks:
            tried = subprocess.run([*STRANGER, head.run / lock, "true"], capture_output=True, text=True, check=False)
            assert "Permission denied" in tried.stderr, (lock, tried)


def test_a_lock_that_everyone_could_hold_is_narrowed_by_the_next_daemon(pair: Pair) -> None:
    """As the release before made it."""
    run = pair.a.run
    for name in ("watchdog.lock", "memory", "addresses.json"):
        (run / name).write_text("{}")
        (run / name).chmod(0o644)
    pair.settle()
    assert wide(run, PUBLIC_FILES) == []
    assert holder_of(run / "watchdog.lock") == pair.a.pid
