"""The thread that follows the source outlives defects, and tells of them."""

from __future__ import annotations

import queue
from pathlib import Path

from reconciler.agent.follower import Follower
from reconciler.agent.selection import Selection
from reconciler.agent.store import Store
from reconciler.errors import StateError
from reconciler.system.git.mirror import Mirror
from reconciler.system.node import Node


def test_a_defect_is_told_and_the_next_look_comes(tmp_path: Path) -> None:
    looks = 0

    def follow(node: Node, store: Store, mirror: Mirror) -> Selection:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("nobody thought of this")
        return Selection()

    found: queue.SimpleQueue[Selection] = queue.SimpleQueue()
    follower = Follower(Node(tmp_path / "node.toml", "a", state=tmp_path / "state"), found.put, follow)
    follower.start()
    try:
        refusal = found.get(timeout=30).refusal
        assert isinstance(refusal, StateError)
        assert "nobody thought of this" in refusal.what
        assert "test_follower.py" in refusal.what
        follower.nudge()
        assert found.get(timeout=30).refusal is None
    finally:
        follower.close()
