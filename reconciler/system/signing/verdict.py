"""What a signature proves about one commit: plain values, and what is handed to a verifier."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: What a tool may use to verify one signature that a stranger made: address space, processor time, one file.
TOOL_LIMITS: Final = {
    resource.RLIMIT_AS: 512 << 20,
    resource.RLIMIT_CPU: 10,
    resource.RLIMIT_FSIZE: 64 << 20,
    resource.RLIMIT_CORE: 0,
}


class Scheme(StrEnum):
    """How a commit was signed."""

    SSH = "ssh"
    OPENPGP = "openpgp"


@dataclass(frozen=True, slots=True)
class SignedPart:
    """A commit as its signer saw it: `payload` is what `signature` signs, None for an unsigned commit.

    `time_s` is the committer's clock, seconds since 1970; the committer chooses it.
    """

    commit: str
    signature: bytes | None
    payload: bytes
    time_s: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The signature is right and its key is trusted as `principal` (an allowed_signers name, or the key's e-mail)."""

    principal: str
    scheme: Scheme
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Unsigned:
    """There is no signature."""

    why: str = "is not signed"


@dataclass(frozen=True, slots=True)
class BadSignature:
    """The signature does not fit the commit, or is no signature at all."""

    why: str


@dataclass(frozen=True, slots=True)
class Untrusted:
    """The signature may be right, but no trusted signer has this key."""

    why: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Expired:
    """The key was trusted for another time."""

    why: str


@dataclass(frozen=True, slots=True)
class RevokedKey:
    """The key was withdrawn."""

    why: str


@dataclass(frozen=True, slots=True)
class Unverifiable:
    """Nothing could be found out: a tool is missing, failed or was too slow."""

    why: str


Verdict = Verified | Unsigned | BadSignature | Untrusted | Expired | RevokedKey | Unverifiable
