"""A child that fetches once from the network and ends: `python -m reconciler.system.git.fetcher`.

A child, because libgit2 cannot be interrupted while a name is looked up or a server sends one byte a second, and
because its timeouts and its home directory hold for a whole process. Reads one request as JSON on stdin, writes one
answer as JSON on stdout; the names of secret files pass, never their content. It decides nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pygit2
from pygit2.enums import ConfigLevel

from reconciler import errors
from reconciler.system import process
from reconciler.system.git.hostkeys import known_hosts_of
from reconciler.system.git.remote import Access, Remote
from reconciler.system.git.transfer import transfer
from reconciler.system.ownership import exposed
from reconciler.system.ownership import remedy as mend

#: The exceptions that may cross; anything else is a defect and shows as the child's last words.
_KINDS = {
    kind.__name__: kind
    for kind in (
        errors.SourceError,
        errors.RemoteUnreachable,
        errors.HostKeyRefused,
        errors.UnsupportedSource,
        errors.StateError,
    )
}
_GRACE_S = 1.0


def fetch_in_child(mirror: Path, remote: Remote, branch: str, timeout_s: float) -> str:
    """`transfer` in a child that is killed at the deadline; the same result and the same exceptions."""
    files = {key: str(value) for key, value in asdict(remote.access).items() if isinstance(value, Path)}
    request = {
        "mirror": str(mirror),
        "url": remote.url,
        "name": remote.name,
        "branch": branch,
        "timeout_s": timeout_s,
        "access": files,
        "hosts": sorted(remote.access.hosts),
    }
    argv = [sys.executable, "-m", "reconciler.system.git.fetcher"]
    package_root = str(Path(__file__).parents[3])
    env = {**os.environ, "PYTHONPATH": package_root, "PYTHONSAFEPATH": "1"}
    outcome = process.run(argv, stdin=json.dumps(request).encode(), timeout_s=timeout_s + _GRACE_S, env=env)
    where = str(remote)
    match outcome:
        case process.TimedOut():
            raise errors.RemoteUnreachable(f"no answer within {timeout_s:g} s", where=where)
        case process.Missing(program, why):
            raise errors.StateError(f"{program} cannot be started: {why}", where=where)
        case process.Finished(0, stdout):
            answer = json.loads(stdout)
            if "commit" in answer:
                return str(answer["commit"])
            raise _KINDS[answer["kind"]](answer["what"], where=answer["where"], remedy=answer["remedy"])
        case process.Finished(code, _, stderr):
            if code == -signal.SIGALRM:
                raise errors.RemoteUnreachable(f"no answer within {timeout_s:g} s", where=where)
            words = stderr.decode(errors="replace").strip().splitlines()
            raise errors.SourceError(
                f"the fetch ended with code {code}: {words[-1] if words else 'no word why'}", where=where
            )


def main() -> None:
    """Serve the one request on stdin."""
    request = json.load(sys.stdin)
    timeout_s = float(request["timeout_s"])
    # The parent may die first; nobody would then end a fetch that hangs.
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    files: dict[str, Any] = {key: Path(value) for key, value in request["access"].items()}
    access = Access(**files, hosts=frozenset(request["hosts"]))
    remote = Remote(request["url"], request["name"], access)
    mirror = Path(request["mirror"])
    try:
        _prepare(mirror, remote, timeout_s)
        answer = {"commit": transfer(mirror, remote, request["branch"], timeout_s)}
    except tuple(_KINDS.values()) as error:
        kind = next(name for name, known in _KINDS.items() if type(error) is known)
        answer = {"kind": kind, "what": error.what, "where": error.where, "remedy": error.remedy}
    json.dump(answer, sys.stdout)


def _prepare(mirror: Path, remote: Remote, timeout_s: float) -> None:
    """libgit2's settings for this process: finite timeouts, our known_hosts, our CA, nobody's ~/.gitconfig."""
    settings = pygit2.settings
    settings.server_connect_timeout = max(1, int(timeout_s * 1000))
    settings.server_timeout = max(1, int(timeout_s * 1000))
    for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        settings.search_path[level] = ""
    for file in (remote.access.known_hosts_file, remote.access.ca_file):
        if file is not None and file.exists() and (why := exposed(file)):
            raise errors.SourceError(
                f"others could write keys of their own into {file}: {why}", where=str(remote), remedy=mend(why)
            )
    home = mirror / "home"
    link = home / ".ssh" / "known_hosts"
    try:
        link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = link.with_name(f"known_hosts.{os.getpid()}")
        fresh.symlink_to(known_hosts_of(remote.access).absolute())
        fresh.replace(link)
    except OSError as error:
        raise errors.StateError(f"cannot write: {error.strerror}", where=str(link)) from error
    settings.homedir = str(home)
    if remote.access.ca_file is not None:
        if not remote.access.ca_file.is_file():
            raise errors.SourceError("there is no such CA file", where=str(remote.access.ca_file))
        settings.set_ssl_cert_locations(str(remote.access.ca_file), None)


if __name__ == "__main__":
    main()
