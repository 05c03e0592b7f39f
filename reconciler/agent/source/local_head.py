"""A cheap check of a local repository: when its branch has not moved, nothing need be fetched.

Reads one or two small files (`system/local_branch`) instead of opening the repository, so that a plan for an unchanged
commit loads no git library. In unclear cases `select_revision` decides.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.agent.source.content import cached_content
from reconciler.agent.source.selection import Selection
from reconciler.agent.store import Store
from reconciler.core.facts.settings import source_from_document
from reconciler.system.local_branch import tip_of
from reconciler.system.node import Node


def unchanged_selection(node: Node, store: Store) -> Selection | None:
    """The selection, when the first remote is a local repository whose tip has the good revision; else None."""
    accepted = store.accepted()
    source = source_from_document(accepted.policy)
    remotes = source.remotes if source else node.source.remotes
    if node.push is not None:
        remotes = (str(node.push.repository),)
    good = accepted.good
    if (
        not remotes
        or not remotes[0].startswith("/")
        or good is None
        or accepted.blocked
        or accepted.head != accepted.good_head
        or good.folder != node.source.path
    ):
        return None
    if tip_of(Path(remotes[0]), good.branch) != accepted.head:
        return None
    content = cached_content(store, good.commit, node.controller, good.folder)
    return None if content is None else Selection(good, content, accepted.head)
