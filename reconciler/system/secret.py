"""Secrets in files of this machine: read when they are needed, and refused when others could have read them too."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import Final

from reconciler.core.failover.heartbeats.authentication import SECRET_BYTES_MIN as PAIR_SECRET_BYTES_MIN
from reconciler.core.failover.heartbeats.authentication import Purpose, SealKey, derive
from reconciler.core.failover.heartbeats.keyring import Keyring
from reconciler.core.failover.orders.document import orders_key
from reconciler.errors import NodeFileError
from reconciler.system.node import WatchdogNode
from reconciler.system.ownership import exposed
from reconciler.system.ownership import remedy as mend

SECRET_BYTES_MIN: Final = 16
SECRET_BYTES_MAX: Final = 4096


def read_secret(path: str | Path, *, bytes_min: int = SECRET_BYTES_MIN) -> bytes:
    """The secret in a file, without the white space around it.

    Raises NodeFileError when there is none, when users other than root and this one may read, change or replace it, or
    when it is too short to be a secret.
    """
    where = str(path)
    try:
        # Without O_NONBLOCK a fifo of that name would hang the caller.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NodeFileError(f"cannot read this secret: {error.strerror}", where=where) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise NodeFileError("a secret has to be a regular file", where=where)
    with os.fdopen(descriptor, "rb") as file:
        if status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid()):
            named = shlex.quote(where)
            raise NodeFileError(
                f"others may read or change this secret (mode {stat.S_IMODE(status.st_mode):04o})",
                where=where,
                remedy=f"run: chown root {named} && chmod 600 {named}; then make a new secret, this one may be known",
            )
        if why := exposed(Path(path)):
            raise NodeFileError(f"others could replace this secret: {why}", where=where, remedy=mend(why))
        secret = file.read(SECRET_BYTES_MAX + 1).strip()
    if len(secret) > SECRET_BYTES_MAX:
        raise NodeFileError(f"a secret longer than {SECRET_BYTES_MAX} bytes", where=where)
    if len(secret) < bytes_min:
        raise NodeFileError(
            f"a secret shorter than {bytes_min} bytes",
            where=where,
            remedy=f"run: openssl rand -hex 32 > {where}",
        )
    return secret


def pair_secret(watchdog: WatchdogNode) -> bytes:
    """The secret that both controllers share, from which every seal between them is derived.

    Raises NodeFileError as `read_secret` does; 32 bytes at the least.
    """
    return read_secret(watchdog.secret, bytes_min=PAIR_SECRET_BYTES_MIN)


def next_path(secret: Path) -> Path:
    """Where the secret lies that is accepted and not yet used."""
    return secret.with_name(f"{secret.name}.next")


def previous_path(secret: Path) -> Path:
    """Where the secret lies that is accepted and no longer used."""
    return secret.with_name(f"{secret.name}.previous")


def pair_keyring(watchdog: WatchdogNode) -> tuple[Keyring, tuple[str, ...]]:
    """The secrets of the pair, and in words what is wrong with those that are accepted besides the current one.

    Those are left out then. Raises NodeFileError, as `read_secret` does, when the current one is unfit.
    """
    others, problems = [], []
    for path in (next_path(watchdog.secret), previous_path(watchdog.secret)):
        if not path.exists():
            continue
        try:
            others.append(read_secret(path, bytes_min=PAIR_SECRET_BYTES_MIN))
        except NodeFileError as error:
            problems.append(f"{error.where}: {error.what}")
    return Keyring(pair_secret(watchdog), tuple(others)), tuple(problems)


def document_keys(watchdog: WatchdogNode) -> tuple[SealKey, ...]:
    """The keys of orders and power plan, one for each accepted secret; the first one seals. Raises NodeFileError."""
    ring, _ = pair_keyring(watchdog)
    return tuple(orders_key(secret) for secret in ring.accepted)


def carp_passwords(watchdog: WatchdogNode, ring: Keyring) -> tuple[bytes, ...]:
    """The passwords of CARP: what the node's own file says, else one for each secret, the current one's first.

    Raises NodeFileError as `read_secret` does.
    """
    if watchdog.carp_password is not None:
        return (read_secret(watchdog.carp_password, bytes_min=1),)
    return tuple(_password(secret) for secret in ring.accepted)


def _password(secret: bytes) -> bytes:
    """19 characters of text, no more than ucarp takes, so that a person can give it to another implementation."""
    return derive(secret, Purpose.CARP).material[:10].hex()[:19].encode()
