"""Encryption of a backup in the age format, by the library `pyrage` (rage): for recipients, or with a passphrase.

age authenticates the content against changes, and says nothing of who made the file: every person can encrypt for a
recipient. With a passphrase only a person who knows it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyrage

from reconciler.errors import StateError, UsageError
from reconciler.system.files import read_bytes
from reconciler.system.ownership import exposed
from reconciler.system.ownership import remedy as mend

#: A document of 12 MiB, with the tags and the header of age.
BACKUP_BYTES_MAX: Final = 16 << 20
PASSPHRASE_CHARACTERS_MIN: Final = 12
RECIPIENTS_MAX: Final = 64
KEY_FILE_BYTES_MAX: Final = 64 << 10
_HEADER: Final = b"age-encryption.org/v1\n"
_SCRYPT: Final = _HEADER + b"-> scrypt "
_AGE_IDENTITY: Final = "AGE-SECRET-KEY-1"


def encrypt_for(data: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypt for age1… recipients and SSH public keys; each may be given as a file. Raises UsageError."""
    keys = [key for named in recipients for key in _recipients(named)]
    if not 0 < len(keys) <= RECIPIENTS_MAX:
        raise UsageError(f"{len(keys)} recipients; from 1 to {RECIPIENTS_MAX} are possible", where="--to")
    return bytes(pyrage.encrypt(data, keys))


def encrypt_with(data: bytes, passphrase: str) -> bytes:
    """Encrypt with a passphrase (scrypt). Raises UsageError for a short one."""
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise UsageError(
            f"a passphrase of less than {PASSPHRASE_CHARACTERS_MIN} characters", remedy="take six random words, say"
        )
    return bytes(pyrage.passphrase.encrypt(data, passphrase))


def needs_passphrase(data: bytes) -> bool:
    """Whether a backup was encrypted with a passphrase. Raises StateError for what is no age file."""
    if not data.startswith(_HEADER):
        raise StateError("this is no file in the age format", remedy="name a file that `hagit backup` wrote")
    return data.startswith(_SCRYPT)


def decrypt_with(data: bytes, passphrase: str) -> bytes:
    """The content of a backup with a passphrase. Raises StateError."""
    try:
        return bytes(pyrage.passphrase.decrypt(data, passphrase))
    except pyrage.DecryptError as error:
        raise _not_opened(error, "the passphrase is another one, or the file is damaged or cut short") from error


def decrypt_by(data: bytes, identity_files: Sequence[Path]) -> bytes:
    """The content of a backup for recipients, by files of age or SSH identities. Raises StateError, UsageError."""
    identities = [identity for path in identity_files for identity in _identities(path)]
    try:
        return bytes(pyrage.decrypt(data, identities))
    except pyrage.DecryptError as error:
        raise _not_opened(error, "no identity fits, or the file is damaged or cut short") from error


def _not_opened(error: Exception, why: str) -> StateError:
    return StateError(f"the backup cannot be opened ({error!s:.100}): {why}", remedy="nothing was restored")


def _recipients(named: str) -> list[Any]:
    """The recipients in one value of --to: a key, or a file with a key in each line."""
    if named.startswith(("age1", "ssh-")):
        return [_recipient(named, "--to")]
    path = Path(named)
    data = read_bytes(path, KEY_FILE_BYTES_MAX)
    if data is None:
        raise UsageError(
            f"{named!r:.100} is neither an age recipient, nor an SSH public key, nor a file of those",
            where="--to",
            remedy="age-keygen makes an identity and shows its recipient: age1…",
        )
    lines = [line.strip() for line in data.decode(errors="replace").splitlines()]
    return [_recipient(line, str(path)) for line in lines if line and not line.startswith("#")]


def _recipient(text: str, where: str) -> Any:
    try:
        return (
            pyrage.ssh.Recipient.from_str(text) if text.startswith("ssh-") else pyrage.x25519.Recipient.from_str(text)
        )
    except pyrage.RecipientError as error:
        remedy = "give an age1… recipient, or an ssh-ed25519 or ssh-rsa public key"
        raise UsageError(f"{text[:40]!r} is no recipient: {error!s:.100}", where=where, remedy=remedy) from error


def _identities(path: Path) -> list[Any]:
    """The identities in a file that no other user may read."""
    try:
        if path.stat().st_mode & 0o077:
            raise UsageError("other users may read this identity", where=str(path), remedy=f"chmod 600 {path}")
        if why := exposed(path):
            raise UsageError(f"other users could replace this identity: {why}", where=str(path), remedy=mend(why))
    except OSError as error:
        raise UsageError(f"cannot read this identity: {error.strerror}", where=str(path)) from error
    data = read_bytes(path, KEY_FILE_BYTES_MAX) or b""
    lines = [line.strip() for line in data.decode(errors="replace").splitlines()]
    keys = [line for line in lines if line.startswith(_AGE_IDENTITY)]
    try:
        if keys:
            return [pyrage.x25519.Identity.from_str(key) for key in keys]
        return [pyrage.ssh.Identity.from_buffer(data)]
    except pyrage.IdentityError as error:
        raise UsageError(
            "no identity of age, and no SSH private key without a passphrase",
            where=str(path),
            remedy="name the file that age-keygen wrote, or an ed25519 or RSA key",
        ) from error
