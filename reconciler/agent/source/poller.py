"""The thread that polls the source: at an interval with jitter, and at once when asked to.

A slow remote therefore never delays an observation of the kernel.
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

#: Each wait is shortened by up to this fraction, so that many controllers do not poll at the same moment.
JITTER: Final = 0.2
#: Wait after a failure without any usable revision.
RETRY_S: Final = 5.0
#: Longest wait after exceptions that are defects; it doubles with each.
DEFECT_S_MAX: Final = 300.0
_TRACE_LINES: Final = 3


class SourcePoller:
    """Calls `on_selection` from its own thread with each selection. `poll_source` may be called from any thread."""

    def __init__(
        self,
        node: Node,
        on_selection: Callable[[Selection], None],
        select: Callable[[Node, Store, Mirror], Selection] = select_revision,
    ) -> None:
        self._node = node
        self._select = select
        self._on_selection = on_selection
        self._poll_wanted = threading.Event()
        self._stopped = False
        self._watches: dict[tuple[Path, str], RepositoryWatch] = {}
        self._random = random.Random()
        self._thread = threading.Thread(target=self._run, name="source poller", daemon=True)

    def start(self) -> None:
        """Start; the first poll comes at once."""
        self._thread.start()

    def poll_source(self) -> None:
        """Poll now. Requests during a poll cause one more poll."""
        self._poll_wanted.set()

    def close(self, timeout_s: float = 2.0) -> None:
        """Stop. A running fetch may last until its own limit, without effect."""
        self._stopped = True
        self._poll_wanted.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        store = Store(self._node.state)
        mirror: Mirror | None = None
        defect_s = RETRY_S
        while not self._stopped:
            self._poll_wanted.clear()
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
                # A defect of hagit or of a library must not end this thread: report it, and poll again.
                mirror, selection = None, Selection(refusal=_defect(error))
                wait_s, defect_s = defect_s, min(2 * defect_s, DEFECT_S_MAX)
            self._on_selection(selection)
            self._poll_wanted.wait(wait_s * (1 - self._random.uniform(0, JITTER)))
        for watch in self._watches.values():
            watch.close()

    def _watch(self, store: Store) -> None:
        """Watch exactly the local remotes of the policy in force."""
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
    """The error for an unexpected exception: what happened, and where in the code."""
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return StateError(
        f"following the source failed by a defect: {error!r:.300} at {', '.join(places[-_TRACE_LINES:])}",
        where="source",
        remedy="the revision in force stays, and the source is polled again; please report this",
    )
