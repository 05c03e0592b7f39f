"""A pack of accepted commits out of the mirror, for the other controller. Stock git makes it: git-pack-objects(1)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reconciler.errors import SourceError, StateError
from reconciler.system import process

PACK_BYTES_MAX: Final = 16 << 20
PACK_S: Final = 20.0


def pack_beyond(mirror: Path, tip: str, have: str) -> bytes:
    """Everything that `tip` needs beyond `have` (full ids; `have` empty: everything).

    Raises SourceError when it is more than 16 MiB, StateError when git does not make it.
    """
    lines = f"{tip}\n" + (f"^{have}\n" if have else "")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}
    done = process.run(
        ["git", f"--git-dir={mirror}", "-c", "pack.threads=1", "pack-objects", "--revs", "--stdout", "-q"],
        stdin=lines.encode(),
        timeout_s=PACK_S,
        env=environment | {"GIT_CONFIG_GLOBAL": "/dev/null"},
        output_bytes_max=PACK_BYTES_MAX,
    )
    match done:
        case process.Finished(0, pack, _, False):
            return pack
        case process.Finished(truncated=True):
            raise SourceError(
                f"the other controller lacks more than {PACK_BYTES_MAX >> 20} MiB of this history",
                where=str(mirror),
                remedy="copy a clone of the repository to it, and name that as a remote in its node file",
            )
        case process.Missing(program, why):
            raise StateError(f"{program}: {why}", where=str(mirror), remedy="apt-get install git")
        case process.TimedOut():
            raise StateError(f"git pack-objects did not end within {PACK_S:g} s", where=str(mirror))
    raise StateError(f"git cannot pack: {done.stderr.decode(errors='replace')[:300]}", where=str(mirror))
