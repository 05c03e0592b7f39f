"""What the SSH server of the pair reads: its settings (sshd_config(5)) and the list of keys (sshd(8), AUTHORIZED_KEYS).

The server is an OpenSSH of its own beside the machine's, with one account, one purpose and the host key of the pair. It
listens at every address, so no virtual address that comes or goes concerns it. Every key is listed with a forced
command. The list is a file and not the output of a command, so keys work while the agent does not run.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from reconciler.core.facts.ssh_public_key import SshPublicKey
from reconciler.errors import StateError
from reconciler.system import process
from reconciler.system.files import PUBLIC, PUBLIC_DIRECTORY, Lock, make_directory, read_bytes, write_atomic
from reconciler.system.node import Node
from reconciler.system.node_push import PushNode

CONFIG_FILE: Final = "sshd_config"
KEYS_FILE: Final = "authorized_keys"
HOST_KEY_FILE: Final = "ssh_host_ed25519_key"
KEYS_MAX: Final = 1_000
_CONFIG: Final = """\
# Written by hagit. Changes are lost.
Port {port}
HostKey {host_key}
PidFile none
AllowUsers {user}
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
AuthorizedKeysFile {keys}
AuthorizedPrincipalsFile none
{revoked}PermitRootLogin no
StrictModes yes
UsePAM yes
DisableForwarding yes
PermitTTY no
PermitTunnel no
PermitUserRC no
PermitUserEnvironment no
X11Forwarding no
Compression no
UseDNS no
PrintMotd no
MaxAuthTries 10
MaxSessions 4
MaxStartups 10:30:20
LoginGraceTime 20
ClientAliveInterval 15
ClientAliveCountMax 4
LogLevel VERBOSE
"""


def host_key_of(push: PushNode) -> Path:
    """The file of the host key."""
    return push.host_key or push.directory / HOST_KEY_FILE


def write_sshd_config(node: Node, push: PushNode) -> Path:
    """Write the settings of the server, and a host key where there is none. Returns the file of the settings."""
    make_directory(push.directory, PUBLIC_DIRECTORY)
    key = host_key_of(push)
    if push.host_key is None:
        _make_host_key(push, key)
    revoked = node.trust.revoked_keys
    text = _CONFIG.format(
        port=push.port,
        host_key=key,
        user=push.user,
        keys=push.directory / KEYS_FILE,
        revoked=f"RevokedKeys {revoked}\n" if revoked is not None else "",
    )
    path = push.directory / CONFIG_FILE
    if read_bytes(path) != text.encode():
        write_atomic(path, text.encode(), mode=PUBLIC)
    return path


def _make_host_key(push: PushNode, key: Path) -> None:
    """Make a key unless there is one. The agent and the server start at the same time, so one waits for the other."""
    with Lock(push.directory / "host_key.lock", "hagit, making a host key", wait_s=20):
        if key.exists():
            return
        done = process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hagit", "-f", str(key)], timeout_s=20)
        if not isinstance(done, process.Finished) or done.code != 0:
            raise StateError("no host key could be made", where=str(key), remedy="apt-get install openssh-client")


def keys_text(keys: Iterable[SshPublicKey], push: PushNode, shell: Path) -> str:
    """The list of keys: each may run the one command, and nothing else."""
    lines = ["# Written by hagit's agent from the revision in force and the trusted signers. Changes are lost."]
    seen: set[str] = set()
    for key in list(keys)[:KEYS_MAX]:
        if key.blob in seen:
            continue
        seen.add(key.blob)
        command = shlex.join([str(shell), str(push.directory), key.fingerprint])
        lines.append(f'restrict,command="{command}" {key.algorithm} {key.blob}')
    return "\n".join(lines) + "\n"


def write_keys(keys: Iterable[SshPublicKey], push: PushNode, shell: Path) -> bool:
    """Write the list of keys; False when it was the same."""
    path, text = push.directory / KEYS_FILE, keys_text(keys, push, shell)
    if read_bytes(path) == text.encode():
        return False
    write_atomic(path, text.encode(), mode=PUBLIC)
    return True


def exec_arguments(config: Path) -> list[str]:
    """The command line of the server in the foreground, with its log on standard error."""
    return ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)]


def shell_script() -> str:
    """The program that clients run, as the package and the tests install it."""
    root = Path(__file__).parents[3]
    run = shlex.join([sys.executable, "-P", "-m", "reconciler.system.push.ssh_shell"])
    return f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(root))} exec {run} "$@"\n'
