"""The files of a repository as they lie in a directory: of one pair, or of every pair in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reconciler.core.spec import Configuration, load
from reconciler.core.spec.fleet import has_pair
from reconciler.core.spec.pair_folder import shared_folders
from reconciler.errors import UnsupportedSource
from reconciler.system.git.directory import yaml_files
from reconciler.system.git.folder import Folder, read_folder_directory

PAIRS_MAX: Final = 2_000


def configuration_in(directory: Path, path: str) -> Configuration:
    """The configuration of the pair in the folder `path` of a repository, empty for the whole repository.

    Raises ConfigurationError, and as `read_directory`.
    """
    folder = Folder(path, lambda tree: shared_folders(tree, path))
    return load(read_folder_directory(directory, folder), path)


def folders_of_pairs(root: Path) -> tuple[list[str], list[str]]:
    """The folder of each pair in a repository, sorted, and the paths of all its YAML files. Raises as `yaml_files`."""
    paths: list[str] = []
    found: dict[str, None] = {}
    for path, data in yaml_files(root):
        paths.append(path)
        folder = path.rpartition("/")[0]
        if folder not in found and has_pair(path, data):
            found[folder] = None
        if len(found) > PAIRS_MAX:
            raise UnsupportedSource(f"more than {PAIRS_MAX:,} pairs", where=str(root))
    return sorted(found), paths
