"""The thread that follows the source: polls with jitter, looks at once when nudged, and never holds up a look at the
kernel, however slow a remote is.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reconciler.agent.follow import follow, interval_s, local_remotes
from reconciler.agent.policy import policy_of
from reconciler.agent.selection import Selection
from reconciler.agent.store import Store
from reconciler.errors import HagitError
from reconciler.system.filewatch import RepositoryWatch
from reconciler.system.git.mirror import Mirror
from reconciler.system.node import Node

#: Each wait is shortened by up to this part of it, so that many controllers do not ask at the same moment.
JITTER: Final = 0.2
#: After a failure that left nothing to go by, ask again this soon.
RETRY_S: Final = 5.0


class Follower:
    """Calls `found` from its own thread with each selection. `nudge` may be called from anywhere."""

    def __init__(self, node: Node, found: Callable[[Selection], None]) -> None:
        self._node = node
        self._found = found
        self._nudged = threading.Event()
        self._stopped = False
        self._watches: dict[tuple[Path, str], RepositoryWatch] = {}
        self._random = random.Random()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Begin; the first look comes at once."""
        self._thread.start()

    def nudge(self) -> None:
        """Look now. Nudges that come during a look make one more look."""
        self._nudged.set()

    def close(self, timeout_s: float = 2.0) -> None:
        """Stop; a fetch under way may outlive this by its own limit, without effect."""
        self._stopped = True
        self._nudged.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        store = Store(self._node.state)
        mirror: Mirror | None = None
        while not self._stopped:
            self._nudged.clear()
            self._watch(store)
            wait_s = RETRY_S
            try:
                if mirror is None:
                    mirror = Mirror(store.mirror)
                selection = follow(self._node, store, mirror)
                if selection.revision is not None:
                    wait_s = interval_s(selection)
            except HagitError as error:
                selection = Selection(refusal=error)
            self._found(selection)
            self._watch(store)
            self._nudged.wait(wait_s * (1 - self._random.uniform(0, JITTER)))
        for watch in self._watches.values():
            watch.close()

    def _watch(self, store: Store) -> None:
        """Watch every local remote of the policy in force, and no other."""
        try:
            policy = policy_of(self._node, store.accepted())
        except HagitError:
            return
        wanted = {(path, policy.branch) for path in local_remotes(policy)}
        for place in self._watches.keys() - wanted:
            self._watches.pop(place).close()
        for path, branch in wanted - self._watches.keys():
            self._watches[(path, branch)] = RepositoryWatch(path, branch, self.nudge)
