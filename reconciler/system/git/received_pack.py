"""A pack from another process or controller, received into a quarantine beside the mirror, as a fetch is.

*What a stranger packed is unpacked and measured in a child alone*, under the limits of a fetch, without privileges, and
with every file closed but the quarantine and the mirror's objects (`system/sandbox`). Stock git indexes the pack,
git-index-pack(1) with --strict; the same checks as after a fetch follow (`transfer`). Serves one request on stdin, like
`fetcher`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pygit2
from pygit2.enums import ConfigLevel

from reconciler import errors
from reconciler.system import process
from reconciler.system.files import write_atomic
from reconciler.system.git.defects import hagit_errors
from reconciler.system.git.mirror import Fetched, FetchedSource, Mirror, RemoteFailure
from reconciler.system.git.quarantine import HEAD_REF, quarantine, target
from reconciler.system.git.remote import Remote
from reconciler.system.git.transfer import require_small, require_whole
from reconciler.system.sandbox import ProcessLimits, confine, limit

LIMITS: Final = ProcessLimits(memory_bytes=1 << 30, file_bytes=300 << 20, processor_s=20)
PACK_FILE: Final = "incoming.pack"
RECEIVE_S: Final = 20.0
_KINDS: Final = {kind.__name__: kind for kind in (errors.SourceError, errors.UnsupportedSource, errors.StateError)}
_SYSTEM: Final = tuple(
    map(Path, ("/usr", "/lib", "/lib64", "/bin", "/proc", "/dev/null", "/dev/urandom", "/etc/ld.so.cache"))
)


@contextmanager
def received_pack(
    mirror: Mirror,
    pack: bytes,
    tip: str,
    remote: Remote,
    timeout_s: float = RECEIVE_S,
    failed: tuple[RemoteFailure, ...] = (),
) -> Iterator[FetchedSource]:
    """What a pack brings, in a quarantine that has the mirror's objects, too; `tip` is its head.

    An empty pack says that the mirror has the tip already. `failed`: remotes that were asked before. Raises
    UnsupportedSource beyond a limit, SourceError for a pack that is damaged or lacks something, StateError for our own
    disk.
    """
    fetched = Fetched(tip, remote, failed, fallback=True)
    with quarantine(mirror.path) as path:
        write_atomic(path / PACK_FILE, pack, sync=False)
        _receive_in_child(path, mirror.path, tip, str(remote), timeout_s)
        yield FetchedSource(fetched, Mirror(path), mirror)


def _receive_in_child(path: Path, mirror: Path, tip: str, where: str, timeout_s: float) -> None:
    request = {"received": str(path), "mirror": str(mirror), "tip": tip, "where": where, "timeout_s": timeout_s}
    argv = [sys.executable, "-m", "reconciler.system.git.received_pack"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONSAFEPATH": "1"}
    outcome = process.run(argv, stdin=json.dumps(request).encode(), timeout_s=timeout_s + 1.0, env=env)
    match outcome:
        case process.Finished(0, stdout) if not stdout.strip():
            return
        case process.Finished(0, stdout):
            answer = json.loads(stdout)
            raise _KINDS[answer["kind"]](answer["what"], where=answer["where"], remedy=answer["remedy"])
        case process.Missing(program, why):
            raise errors.StateError(f"{program} cannot be started: {why}", where=where)
        case process.Finished(code, _, stderr) if code not in (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGALRM):
            words = stderr.decode(errors="replace").strip().splitlines()
            raise errors.SourceError(f"receiving ended with code {code}: {words[-1] if words else ''}", where=where)
    raise errors.UnsupportedSource(
        f"to receive this takes more than {LIMITS.memory_bytes >> 20} MiB of memory or {timeout_s:g} s",
        where=where,
        remedy="keep only the desired state in this repository",
    )


def main() -> None:
    """Serve the one request on stdin; writes nothing when all is well, else the error as JSON."""
    request = json.load(sys.stdin)
    signal.setitimer(signal.ITIMER_REAL, float(request["timeout_s"]))
    received, mirror, where = Path(request["received"]), Path(request["mirror"]), str(request["where"])
    try:
        limit(LIMITS)
        for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
            pygit2.settings.search_path[level] = ""
        package = Path(__file__).parents[3]
        readable = [*_SYSTEM, mirror, package, Path(sys.prefix), Path(sys.base_prefix)]
        confine(readable=readable, writable=[received, Path("/dev/null")], network=False)
        _receive(received, request["tip"], where)
    except tuple(_KINDS.values()) as error:
        kind = next(name for name, known in _KINDS.items() if type(error) is known)
        json.dump({"kind": kind, "what": error.what, "where": error.where, "remedy": error.remedy}, sys.stdout)


def _receive(received: Path, tip: str, where: str) -> None:
    pack = received / PACK_FILE
    if pack.stat().st_size:
        _index(received, pack, where)
    pack.unlink()
    with hagit_errors(where):
        repository = pygit2.Repository(str(received))
        known = target(repository, HEAD_REF)
        head = pygit2.Oid(hex=tip)
        require_small(repository, received, head, where)
        require_whole(repository, head, known, where)
        repository.references.create(HEAD_REF, head, force=True)


def _index(received: Path, pack: Path, where: str) -> None:
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    argv = ["git", f"--git-dir={received}", "-c", "pack.threads=1", "index-pack", "--stdin", "--fix-thin", "--strict"]
    with pack.open("rb") as content:
        done = subprocess.run(argv, stdin=content, capture_output=True, env=environment, check=False)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()[:300]
        if "no space left" in words.lower():
            raise errors.StateError(f"nothing can be written: {words}", where=where, remedy="make room here")
        raise errors.SourceError(
            f"git refuses these objects: {words or f'it ended with code {done.returncode}'}",
            where=where,
            remedy="if the repository is damaged: git fsck --strict",
        )


if __name__ == "__main__":
    main()
