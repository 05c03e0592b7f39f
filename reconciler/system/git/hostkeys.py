"""A server that is not who it should be: why, and how a person makes it known.

Decides what to say when libgit2 found the SSH host key or the TLS certificate wanting. It never adds a key itself:
trust on first use would trust a machine in the middle.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from reconciler.errors import HostKeyRefused, SourceError
from reconciler.system import process
from reconciler.system.git.remote import Access, GitTransport, RemoteAddress


def known_hosts_of(access: Access) -> Path:
    """The file with the SSH host keys that are trusted."""
    return access.known_hosts_file or Path.home() / ".ssh" / "known_hosts"


def refusal(address: RemoteAddress, access: Access, where: str) -> SourceError:
    """The exception for a server whose key or certificate did not convince."""
    if address.transport is not GitTransport.SSH:
        return SourceError(
            f"the certificate of {address.host} has no signature that is trusted here, or is for another name",
            where=where,
            remedy="name the file with your CA's certificate in the node file",
        )
    file = known_hosts_of(access)
    scan = f"ssh-keyscan{f' -p {address.port}' if address.port else ''} {shlex.quote(address.host)}"
    append = f"{scan} >> {shlex.quote(str(file))}"
    if _has_entry(file, address):
        return HostKeyRefused(
            f"the host key of {address.host} is not the one in {file}: another server answers, or it was reinstalled",
            where=where,
            remedy=f"ask its owner; if it is right: ssh-keygen -R {_entry(address)} -f {file} && {append}",
        )
    return HostKeyRefused(
        f"the host key of {address.host} is not known: {file} has no entry for it",
        where=where,
        remedy=f"{append}  # then compare `ssh-keygen -lf {file}` with what its owner says",
    )


def _entry(address: RemoteAddress) -> str:
    """How known_hosts names a host, sshd(8) SSH_KNOWN_HOSTS FILE FORMAT."""
    return shlex.quote(f"[{address.host}]:{address.port}" if address.port not in (0, 22) else address.host)


def _has_entry(file: Path, address: RemoteAddress) -> bool:
    name = shlex.split(_entry(address))[0]
    found = process.run(["ssh-keygen", "-F", name, "-f", str(file)], timeout_s=5)
    return isinstance(found, process.Finished) and found.code == 0 and bool(found.stdout.strip())
