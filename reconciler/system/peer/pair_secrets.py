"""The secrets that both controllers of a pair share, and the files in which each of them keeps them.

    [watchdog] secret            seals heartbeats, disk records and orders
    [watchdog] carp_password     where the node file names one; without it the password follows from the secret
    peer/shared/                 what the virtual address is to clients, the same on both controllers:
      ssh_host_ed25519_key         an SSH host key, with ssh_host_ed25519_key.pub
      tls.key, tls.crt             a key and its certificate (ECDSA P-256)

An enrolment takes over what one of the two has already, makes what both lack, and carries it over the channel. A
heartbeat secret in use is never overwritten: heartbeats would stop.
"""

from __future__ import annotations

import binascii
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.heartbeats.authentication import SECRET_BYTES_MIN
from reconciler.errors import StateError
from reconciler.system.files import make_directory, read_bytes, write_atomic
from reconciler.system.node import Node
from reconciler.system.peer.identity import peer_directory
from reconciler.system.secret import SECRET_BYTES_MAX, next_path, read_secret

#: Bytes of a new heartbeat secret, written as hexadecimal digits.
NEW_BYTES: Final = 32
#: Characters of a new CARP password; ucarp takes no more.
CARP_CHARACTERS: Final = 19
TEXT_LENGTH_MAX: Final = 16 << 10
SSH_HOST_KEY: Final = "ssh_host_ed25519_key"
TLS_KEY: Final = "tls.key"
TLS_CERTIFICATE: Final = "tls.crt"


@dataclass(frozen=True, slots=True, repr=False)
class PairSecrets:
    """Empty: there is none. `heartbeat` and `carp_password` in hexadecimal digits, the others as files hold them."""

    heartbeat: str = ""
    carp_password: str = ""
    ssh_host_key: str = ""
    tls_key: str = ""
    tls_certificate: str = ""

    def __repr__(self) -> str:
        return f"PairSecrets({', '.join(name for name, value in asdict(self).items() if value)})"


def shared_directory(node: Node) -> Path:
    """Where the identity of the virtual address lies."""
    return peer_directory(node) / "shared"


def heartbeat_path(node: Node) -> Path:
    """The file of the heartbeat secret; the usual one before the node file has a watchdog."""
    return node.watchdog.secret if node.watchdog is not None else node.path.absolute().parent / "pair.secret"


def read_pair_secrets(node: Node) -> PairSecrets:
    """What this controller has already. Raises NodeFileError or StateError for what cannot be used."""
    secret = heartbeat_path(node)
    carp = node.watchdog.carp_password if node.watchdog is not None else None
    shared = shared_directory(node)
    return PairSecrets(
        read_secret(secret, bytes_min=SECRET_BYTES_MIN).hex() if secret.exists() else "",
        read_secret(carp, bytes_min=1).hex() if carp is not None and carp.exists() else "",
        *(
            (read_bytes(shared / name, TEXT_LENGTH_MAX) or b"").decode("ascii", errors="replace")
            for name in (SSH_HOST_KEY, TLS_KEY, TLS_CERTIFICATE)
        ),
    )


def merged_secrets(own: PairSecrets, other: PairSecrets) -> PairSecrets:
    """What this controller has, and what the other one has where this one lacks it. Key and certificate go together."""
    return PairSecrets(
        own.heartbeat or other.heartbeat,
        own.carp_password or other.carp_password,
        own.ssh_host_key or other.ssh_host_key,
        *((own.tls_key, own.tls_certificate) if own.tls_key else (other.tls_key, other.tls_certificate)),
    )


def completed_secrets(known: PairSecrets, name: str, *, renew_heartbeat: bool = False) -> PairSecrets:
    """The same with everything that is missing made anew. `name`: under which clients know the virtual address."""
    made = known
    if renew_heartbeat or not made.heartbeat:
        made = replace(made, heartbeat=secrets.token_hex(NEW_BYTES).encode().hex())
    if not made.carp_password:
        made = replace(made, carp_password=secrets.token_hex(CARP_CHARACTERS)[:CARP_CHARACTERS].encode().hex())
    if not made.ssh_host_key:
        from reconciler.system.peer.shared_keys import new_ssh_host_key

        made = replace(made, ssh_host_key=new_ssh_host_key())
    if not made.tls_key:
        from reconciler.system.peer.shared_keys import new_tls_key

        key, certificate = new_tls_key(name)
        made = replace(made, tls_key=key, tls_certificate=certificate)
    return made


def secrets_document(known: PairSecrets) -> dict[str, str]:
    """The JSON form. It holds the secrets."""
    return asdict(known)


def secrets_from_document(document: Mapping[str, Any]) -> PairSecrets:
    """The secrets in a JSON document; unknown fields are ignored. Raises ValueError."""
    texts = {field.name: document.get(field.name, "") for field in fields(PairSecrets)}
    for name, text in texts.items():
        if not isinstance(text, str) or len(text) > TEXT_LENGTH_MAX or not text.isascii():
            raise ValueError(f"`{name}` is no text of at most {TEXT_LENGTH_MAX} characters")
    try:
        lengths = [len(bytes.fromhex(texts[name])) for name in ("heartbeat", "carp_password")]
    except (ValueError, binascii.Error):
        raise ValueError("`heartbeat` and `carp_password` are hexadecimal digits") from None
    if texts["heartbeat"] and not SECRET_BYTES_MIN <= lengths[0] <= SECRET_BYTES_MAX:
        raise ValueError(f"`heartbeat` has {lengths[0]} bytes")
    return PairSecrets(**texts)


def write_pair_secrets(node: Node, known: PairSecrets, *, keep_next: bool = False) -> tuple[str, ...]:
    """Write the files, each whole and private. Returns, in sentences, what was left as it was, and what to do.

    `keep_next`: this controller uses another heartbeat secret now, and accepts the new one from now on (`.next`).
    Repeating it changes nothing more. Raises StateError.
    """
    notes = []
    secret = heartbeat_path(node)
    wanted = bytes.fromhex(known.heartbeat)
    if not secret.exists():
        make_directory(secret.parent, 0o755)
        write_atomic(secret, wanted + b"\n")
    elif read_secret(secret, bytes_min=SECRET_BYTES_MIN) != wanted:
        if keep_next:
            write_atomic(next_path(secret), wanted + b"\n")
            notes.append(
                "the new heartbeat secret is accepted here and not used yet: when both agents run, "
                "run hagit enroll --rotate"
            )
        else:
            notes.append(
                f"{secret} holds another heartbeat secret than the peer's, and was left: while no pool is imported "
                "here, move it away and enrol again"
            )
    carp = node.watchdog.carp_password if node.watchdog is not None else None
    if carp is not None and not carp.exists():
        write_atomic(carp, bytes.fromhex(known.carp_password) + b"\n")
    shared = shared_directory(node)
    make_directory(peer_directory(node))
    make_directory(shared)
    for name, text in (
        (SSH_HOST_KEY, known.ssh_host_key),
        (TLS_KEY, known.tls_key),
        (TLS_CERTIFICATE, known.tls_certificate),
    ):
        write_atomic(shared / name, text.encode("ascii"))
    from reconciler.system.peer.shared_keys import ssh_public_key

    try:
        public = ssh_public_key(known.ssh_host_key)
    except ValueError as error:
        raise StateError("the shared SSH host key cannot be used", where=str(shared / SSH_HOST_KEY)) from error
    write_atomic(shared / f"{SSH_HOST_KEY}.pub", public.encode("ascii"))
    return tuple(notes)
