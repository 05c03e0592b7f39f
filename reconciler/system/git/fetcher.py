"""A child that fetches once and ends: `python -m reconciler.system.git.fetcher`.

*What a stranger pushed is received, inflated and measured in this child alone*, under limits of memory, processor
time, file size and wall time, without privileges, with every file closed that it does not need (`system/sandbox`). A
child, too, because libgit2 cannot be interrupted while a name is looked up or a server sends one byte a second. Reads
one request as JSON on stdin, writes one answer as JSON on stdout; the names of secret files pass, never their content.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pygit2
from pygit2.enums import ConfigLevel

from reconciler import errors
from reconciler.system import process
from reconciler.system.git.hostkeys import known_hosts_of
from reconciler.system.git.remote import Access, GitTransport, Remote, address_of
from reconciler.system.git.transfer import TIP_FILE, transfer
from reconciler.system.ownership import exposed
from reconciler.system.ownership import remedy as mend
from reconciler.system.sandbox import DAC_READ_SEARCH, ProcessLimits, confine, limit

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
#: What a fetch may use. A pack has at most 256 MiB.
LIMITS = ProcessLimits(memory_bytes=512 << 20, file_bytes=300 << 20, processor_s=20)
#: What libraries read: of themselves, of names of hosts, of certificates.
_SYSTEM = tuple(
    Path(place)
    for place in (
        "/usr", "/lib", "/lib64", "/proc", "/dev/null", "/dev/urandom", "/run/systemd/resolve", "/etc/ssl", "/etc/pki",
        "/etc/ca-certificates", "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf",
        "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/passwd", "/etc/ld.so.cache", "/etc/crypto-policies",
    )
)  # fmt: skip


def fetch_in_child(
    received: Path, mirror: Path, remote: Remote, branch: str, timeout_s: float, refused: Collection[str]
) -> str:
    """`transfer` in a child that is killed at the deadline; the same result and the same exceptions.

    UnsupportedSource carries the tip that was refused, so that it need not be fetched again.
    """
    files = {key: str(value) for key, value in asdict(remote.access).items() if isinstance(value, Path)}
    request = {
        "received": str(received),
        "mirror": str(mirror),
        "url": remote.url,
        "name": remote.name,
        "branch": branch,
        "timeout_s": timeout_s,
        "access": files,
        "hosts": sorted(remote.access.hosts),
        "refused": list(refused),
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
            raise _with_tip(
                _KINDS[answer["kind"]](answer["what"], where=answer["where"], remedy=answer["remedy"]), received
            )
        case process.Finished(code, _, stderr):
            if code == -signal.SIGALRM:
                raise errors.RemoteUnreachable(f"no answer within {timeout_s:g} s", where=where)
            if code in (-signal.SIGXCPU, -signal.SIGKILL):
                raise _with_tip(_too_much(where), received)
            words = stderr.decode(errors="replace").strip().splitlines()
            raise errors.SourceError(
                f"the fetch ended with code {code}: {words[-1] if words else 'no word why'}", where=where
            )


def _with_tip(error: errors.HagitError, received: Path) -> errors.HagitError:
    if isinstance(error, errors.UnsupportedSource):
        with contextlib.suppress(OSError):
            error.tip = (received / TIP_FILE).read_text()[:64]
    return error


def _too_much(where: str) -> errors.UnsupportedSource:
    return errors.UnsupportedSource(
        f"to receive what the remote sends takes more than {LIMITS.memory_bytes >> 20} MiB of memory, "
        f"{LIMITS.processor_s} s of processor time or {LIMITS.file_bytes >> 20} MiB in one file",
        where=where,
        remedy="keep only the desired state in this repository, and replace its history if it holds more",
    )


def main() -> None:
    """Serve the one request on stdin."""
    request = json.load(sys.stdin)
    timeout_s = float(request["timeout_s"])
    # The parent may die first; then nothing else would end a fetch that hangs.
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    files: dict[str, Any] = {key: Path(value) for key, value in request["access"].items()}
    access = Access(**files, hosts=frozenset(request["hosts"]))
    remote = Remote(request["url"], request["name"], access)
    received = Path(request["received"])
    try:
        _prepare(received, remote, timeout_s)
        _confine(received, Path(request["mirror"]), remote)
        answer = {"commit": transfer(received, remote, request["branch"], timeout_s, request["refused"])}
    except tuple(_KINDS.values()) as error:
        kind = next(name for name, known in _KINDS.items() if type(error) is known)
        answer = {"kind": kind, "what": error.what, "where": error.where, "remedy": error.remedy}
    except MemoryError:
        refused = _too_much(str(remote))
        answer = {"kind": "UnsupportedSource", "what": refused.what, "where": refused.where, "remedy": refused.remedy}
    json.dump(answer, sys.stdout)


def _confine(received: Path, mirror: Path, remote: Remote) -> None:
    """Limits for this process, and no file but what libraries, this remote and the quarantine need."""
    limit(LIMITS)
    access = remote.access
    named = (access.ssh_key_file, access.known_hosts_file, access.ca_file, access.token_file, known_hosts_of(access))
    local = address_of(remote.url).transport is GitTransport.LOCAL
    # A local repository may lead elsewhere: worktrees, alternates, links. It is read without a network.
    readable = [Path("/")] if local else [*_SYSTEM, mirror, *(file.resolve() for file in named if file is not None)]
    confine(
        readable=[*readable, *(Path(place) for place in {sys.prefix, sys.base_prefix}), Path(__file__).parents[3]],
        writable=[received, Path("/dev/null")],
        network=not local,
        keep=(DAC_READ_SEARCH,) if local else (),
    )


def _prepare(received: Path, remote: Remote, timeout_s: float) -> None:
    """libgit2's settings for this process: finite timeouts, our known_hosts, our CA, no ~/.gitconfig."""
    settings = pygit2.settings
    settings.server_connect_timeout = max(1, int(timeout_s * 1000))
    settings.server_timeout = max(1, int(timeout_s * 1000))
    # Little of a pack is mapped at once, or address space would be what ends.
    settings.mwindow_size = 8 << 20
    settings.mwindow_mapped_limit = 64 << 20
    if address_of(remote.url).transport is GitTransport.LOCAL:
        # Root's own configuration says which repositories of others are safe; nothing else of it matters here.
        return
    for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        settings.search_path[level] = ""
    for file in (remote.access.known_hosts_file, remote.access.ca_file):
        if file is not None and file.exists() and (why := exposed(file)):
            raise errors.SourceError(
                f"others could write keys of their own into {file}: {why}", where=str(remote), remedy=mend(why)
            )
    home = received / "home"
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
