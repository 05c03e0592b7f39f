"""Which files in a directory other users could use or lock."""

import stat
from collections.abc import Collection
from pathlib import Path


def wide(directory: Path, public: Collection[str]) -> list[str]:
    """Paths with a wider mode than they need, one line each. All users may read `public`; sockets have a group."""
    found = []
    for path in (directory, *directory.iterdir()):
        status = path.lstat()
        if path == directory:
            allowed = 0o755
        elif path.name in public:
            allowed = 0o644
        elif stat.S_ISSOCK(status.st_mode):
            allowed = 0o660
        else:
            allowed = 0o700 if stat.S_ISDIR(status.st_mode) else 0o600
        if stat.S_IMODE(status.st_mode) & ~allowed:
            found.append(f"{path} has mode {stat.S_IMODE(status.st_mode):04o}")
    return found
