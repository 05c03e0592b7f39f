"""The folder of this pair in its repository, bound to the language that says what it shares."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from reconciler.system.git.folder import Folder


def pair_folder(path: str) -> Folder:
    """The folder at `path`, empty for the whole repository."""
    return Folder(path, partial(_shared, path))


def _shared(path: str, tree: Mapping[str, bytes]) -> tuple[str, ...]:
    # Imported late: a commit that leaves the folder as it was needs no parser.
    from reconciler.core.spec.pair_folder import shared_folders

    return shared_folders(tree, path)
