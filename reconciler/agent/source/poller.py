"""The thread that follows the source: polls with jitter, looks at once when nudged, and never holds up a look at the
kernel, however slow a remote is.
"""

from __future__ import annotations

import random
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reconciler.agent.source.selection import Selection
from reconciler.agent.source.selector import interval_s, local_remotes, select_revision
from reconciler.agent.source.trust_policy import trust_policy_in_force
from reconciler.agent.store import Store
from reconciler.errors import HagitError, StateError
from reconciler.system.file_watch import RepositoryWatch
from reconciler.system.git.mirror import Mirror
from reconciler.system.node import Node

#: Each wait is shortened by up to this part of it, so that many controllers do not ask at the same moment.
JITTER: Final = 0.2
#: After a failure that left nothing to go by, ask again this soon.
RETRY_S: Final = 5.0
#: After an exception that is a defect the wait doubles up to this.
DEFECT_S_MAX: Final = 300.0
_TRACE_LINES: Final = 3


class SourcePoller:
    """Calls `found` from its own thread with each selection. `nudge` may be called from anywhere."""

    def __init__(
        self,
        node: Node,
        found: Callable[[Selection], None],
        select: Callable[[Node, Store, Mirror], Selection] = select_revision,
    ) -> None:
        self._node = node
        self._select = select
        self._found = found
        self._nudged = threading.Event()
        self._stopped = False
        self._watches: dict[tuple[Path, str], RepositoryWatch] = {}
        self._random = random.Random()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Begin; the first look comes at once."""
        self._thread.start()

    def poll_source(self) -> None:
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
        defect_s = RETRY_S
        while not self._stopped:
            self._nudged.clear()
            wait_s = RETRY_S
            try:
                self._watch(store)
                if mirror is None:
                    mirror = Mirror(store.mirror)
                selection = self._select(self._node, store, mirror)
                if selection.revision is not None:
                    wait_s = interval_s(selection)
                defect_s = RETRY_S
            except HagitError as error:
                selection = Selection(refusal=error)
            except Exception as error:
                # A defect of hagit or of a library must not end this thread: nobody would be told.
                mirror, selection = None, Selection(refusal=_defect(error))
                wait_s, defect_s = defect_s, min(2 * defect_s, DEFECT_S_MAX)
            self._found(selection)
            self._nudged.wait(wait_s * (1 - self._random.uniform(0, JITTER)))
        for watch in self._watches.values():
            watch.close()

    def _watch(self, store: Store) -> None:
        """Watch every local remote of the policy in force, and no other."""
        try:
            policy = trust_policy_in_force(self._node, store.accepted())
        except HagitError:
            return
        wanted = {(path, policy.branch) for path in local_remotes(policy)}
        for place in self._watches.keys() - wanted:
            self._watches.pop(place).close()
        for path, branch in wanted - self._watches.keys():
            self._watches[(path, branch)] = RepositoryWatch(path, branch, self.poll_source)


def _defect(error: Exception) -> StateError:
    """An exception that nothing expects, for people: what, and where in the code."""
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return StateError(
        f"following the source failed by a defect: {error!r:.300} at {', '.join(places[-_TRACE_LINES:])}",
        where="follower",
        remedy="the revision in force stays, and the source is asked again; please report this",
    )
