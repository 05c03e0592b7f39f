"""A glance at a local repository: when its branch has not moved since the last look, nothing need be fetched.

Reads one or two small files as git lays them out (gitrepository-layout(5)) instead of opening the repository, so that
a plan for an unchanged commit costs no git library. Whatever is unclear is left to the full look.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from reconciler.agent.content import kept_content
from reconciler.agent.selection import Selection
from reconciler.agent.store import Store
from reconciler.core.facts.settings import source_from_document
from reconciler.system.files import read_bytes
from reconciler.system.node import Node

REF_BYTES_MAX: Final = 4 << 20
_COMMIT: Final = re.compile(rb"[0-9a-f]{40}")


def glance(node: Node, store: Store) -> Selection | None:
    """The selection, when the first remote is a local repository whose tip is the good revision; else None."""
    accepted = store.accepted()
    source = source_from_document(accepted.policy)
    remotes = source.remotes if source else node.source.remotes
    good = accepted.good
    if (
        not remotes
        or not remotes[0].startswith("/")
        or good is None
        or accepted.blocked
        or accepted.head != good.commit
    ):
        return None
    if tip_of(Path(remotes[0]), good.branch) != good.commit:
        return None
    content = kept_content(store, good.commit, node.controller)
    return None if content is None else Selection(good, content, good.commit)


def tip_of(path: Path, branch: str) -> str | None:
    """The tip of a branch of the repository at `path`, None when a glance does not tell."""
    directory = path / ".git" if (path / ".git").is_dir() else path
    loose = read_bytes(directory / "refs" / "heads" / branch, REF_BYTES_MAX)
    if loose is not None:
        return loose.strip().decode() if _COMMIT.fullmatch(loose.strip()) else None
    packed = read_bytes(directory / "packed-refs", REF_BYTES_MAX) or b""
    found = re.search(rb"^([0-9a-f]{40}) refs/heads/" + re.escape(branch.encode()) + rb"$", packed, re.MULTILINE)
    return found[1].decode() if found else None
