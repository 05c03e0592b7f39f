"""Every YAML file of a directory, one at a time, for a repository of more pairs than fit into the limits of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.errors import SourceError, UnsupportedSource
from reconciler.system.git.tree import FILE_BYTES_MAX, is_wanted

#: Files and folders of a repository of many pairs: 500 of each pair, with 2,000 pairs.
ENTRIES_MAX: Final = 1_000_000


def yaml_files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of every YAML file below `root`; of a larger file the first MiB and one byte.

    Enters neither hidden folders nor symbolic links. Raises UnsupportedSource for more than 1,000,000 entries,
    SourceError for what cannot be read.
    """
    if not root.is_dir():
        raise SourceError("there is no such directory", where=str(root))
    entries, folders = 0, [""]
    while folders:
        above = folders.pop()
        try:
            with os.scandir(root / above) as found:
                listed = sorted(found, key=lambda entry: entry.name)
            entries += len(listed)
            if entries > ENTRIES_MAX:
                raise UnsupportedSource(f"more than {ENTRIES_MAX:,} files", where=str(root))
            for entry in listed:
                path = f"{above}{entry.name}"
                if entry.is_file(follow_symlinks=False) and is_wanted(path):
                    with Path(entry.path).open("rb") as file:
                        yield path, file.read(FILE_BYTES_MAX + 1)
            below = [entry.name for entry in listed if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", where=str(error.filename or root)) from error
        folders += [f"{above}{name}/" for name in reversed(below) if not name.startswith(".")]
