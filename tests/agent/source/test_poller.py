"""The thread that follows the source outlives defects, and tells of them."""

from __future__ import annotations

import queue
from pathlib import Path

from reconciler.agent.source.poller import SourcePoller
from reconciler.agent.source.selection import Selection
from reconciler.agent.store import Store
from reconciler.errors import StateError
from reconciler.system.git.mirror import Mirror
from reconciler.system.node import Node


def test_a_defect_is_reported_and_the_next_poll_comes(tmp_path: Path) -> None:
    looks = 0

    def select(node: Node, store: Store, mirror: Mirror) -> Selection:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("an unexpected defect")
        return Selection()

    found: queue.SimpleQueue[Selection] = queue.SimpleQueue()
    poller = SourcePoller(Node(tmp_path / "node.toml", "a", state=tmp_path / "state"), found.put, select)
    poller.start()
    try:
        refusal = found.get(timeout=30).refusal
        assert isinstance(refusal, StateError)
        assert "an unexpected defect" in refusal.what
        assert "test_poller.py" in refusal.what
        poller.poll_source()
        assert found.get(timeout=30).refusal is None
    finally:
        poller.close()
