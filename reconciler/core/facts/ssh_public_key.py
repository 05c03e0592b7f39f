"""An SSH public key as one line of text: its algorithm, its key in base64, and a comment (sshd(8), AUTHORIZED_KEYS).

Decides which lines are a key that may stand in a list of keys. Options in front of a key are refused: hagit writes
those itself. Knows no file and does not know what a key may do.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

#: Algorithms of user keys that OpenSSH 9.2 accepts by default (PubkeyAcceptedAlgorithms), without certificates.
ALGORITHMS: Final = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
#: An RSA key of 16,384 bits has 2,750 characters.
LINE_LENGTH_MAX: Final = 4_000
COMMENT_LENGTH_MAX: Final = 128
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_COMMENT: Final = re.compile(r"[A-Za-z0-9_.@+:/=-][A-Za-z0-9_.@+:/= -]*")


@dataclass(frozen=True, slots=True)
class SshPublicKey:
    """`blob`: the key in base64. `comment`: words of the line's author; they prove nothing."""

    algorithm: str
    blob: str
    comment: str = ""

    @property
    def fingerprint(self) -> str:
        """`SHA256:` and 43 characters, as ssh-keygen(1) shows it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    def __str__(self) -> str:
        return f"{self.algorithm} {self.blob}{' ' if self.comment else ''}{self.comment}"


def public_key(line: str) -> SshPublicKey | str:
    """The key in a line, or in words why it is none."""
    if len(line) > LINE_LENGTH_MAX:
        return f"is longer than {LINE_LENGTH_MAX} characters"
    algorithm, _, rest = line.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        return "does not begin with the algorithm of a key, like ssh-ed25519"
    blob, _, comment = rest.strip().partition(" ")
    try:
        content = base64.b64decode(blob, validate=True) if _BASE64.fullmatch(blob) else b""
    except binascii.Error:
        content = b""
    # RFC 4253, section 6.6: the name of the algorithm comes first, as a string with its length.
    if not content.startswith(len(algorithm).to_bytes(4, "big") + algorithm.encode()):
        return f"is no key of {algorithm}: its base64 is damaged or belongs to another algorithm"
    comment = comment.strip()
    if comment and (len(comment) > COMMENT_LENGTH_MAX or not _COMMENT.fullmatch(comment)):
        return f"has a comment with other signs than letters, digits and _.@+:/=-, or of more than {COMMENT_LENGTH_MAX}"
    return SshPublicKey(algorithm, blob, comment)


def allowed_signers(text: str) -> tuple[tuple[str, SshPublicKey], ...]:
    """The keys of an allowed_signers file with their principals (ssh-keygen(1), ALLOWED SIGNERS).

    Lines of certificate authorities, with a time limit, or that cannot be read give no key: such a signer is trusted
    under a condition that a list of keys cannot express.
    """
    found: list[tuple[str, SshPublicKey]] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        at = next((index for index, word in enumerate(words[1:], 1) if word in ALGORITHMS), 0)
        options = " ".join(words[1:at]).lower()
        if not at or any(word in options for word in ("cert-authority", "valid-after", "valid-before")):
            continue
        key = public_key(" ".join(words[at : at + 2]))
        if isinstance(key, SshPublicKey):
            found.append((words[0], key))
    return tuple(found)
