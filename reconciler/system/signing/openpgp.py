"""OpenPGP signatures by the system's `gpg`, with a key ring of its own and no user's configuration.

The answers are the status lines of GnuPG's doc/DETAILS. A key is trusted because it stands in the given file; expiry
and revocation are gpg's judgement at the present time. No agent, no network.
"""

from __future__ import annotations

import re
from pathlib import Path

from reconciler.system import process
from reconciler.system.signing.verdict import (
    TOOL_LIMITS,
    BadSignature,
    Expired,
    RevokedKey,
    Scheme,
    SignedPart,
    Untrusted,
    Unverifiable,
    Verdict,
    Verified,
)

TOOL_TIMEOUT_S = 10.0
#: The place of the hash among the fields of VALIDSIG, and the numbers of MD5, SHA-1, RIPEMD-160 (RFC 4880, 9.4).
_HASH_FIELD = 8
_WEAK_HASHES = frozenset({"1", "2", "3"})
#: Exactly one of these is said for each signature.
_EXCLUSIVE = ("GOODSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "BADSIG", "ERRSIG")
_FIXED = (
    "--batch", "--no-tty", "--no-options", "--no-autostart", "--lock-never", "--disable-dirmngr",
    "--weak-digest", "SHA1", "--weak-digest", "RIPEMD160", "--no-auto-key-retrieve", "--trust-model", "always",
    "--status-fd", "1",
)  # fmt: skip


class OpenPgp:
    """A key ring in the private directory `home`, filled once from `keys` (armoured or binary), asked many times."""

    def __init__(self, home: Path, keys: Path | None) -> None:
        self._home = home
        self._why_not = ""
        home.mkdir(mode=0o700)
        if keys is None:
            return
        outcome = self._gpg("--import", str(keys))
        if not isinstance(outcome, process.Finished):
            self._why_not = _trouble(outcome)
        elif b"IMPORT_OK" not in outcome.stdout:
            self._why_not = f"{keys} holds no OpenPGP key"

    def verify(self, part: SignedPart, signature_file: Path) -> Verdict:
        """What the OpenPGP signature in `signature_file`, the one of `part`, proves."""
        if self._why_not:
            return Unverifiable(self._why_not)
        outcome = self._gpg("--verify", str(signature_file), "-", stdin=part.payload)
        if not isinstance(outcome, process.Finished):
            return Unverifiable(_trouble(outcome))
        return read_status(outcome.stdout.decode(errors="replace"))

    def _gpg(self, *arguments: str, stdin: bytes = b"") -> process.Outcome:
        argv = ["gpg", "--homedir", str(self._home), *_FIXED, *arguments]
        return process.run(argv, stdin=stdin, timeout_s=TOOL_TIMEOUT_S, limits=TOOL_LIMITS)


def read_status(status: str) -> Verdict:
    """The verdict in gpg's status lines. More than one signature is refused, because only one of them might be good."""
    lines = [line.removeprefix("[GNUPG:] ").split(" ") for line in status.splitlines() if line.startswith("[GNUPG:] ")]
    said = [line for line in lines if line[0] in _EXCLUSIVE]
    if len(said) != 1:
        return BadSignature("it carries no signature that gpg understands, or several")
    word, key, *rest = said[0]
    user = " ".join(rest)
    match word:
        case "GOODSIG":
            valid = [line for line in lines if line[0] == "VALIDSIG"]
            if len(valid) != 1 or len(valid[0]) < 2:
                return BadSignature("gpg does not confirm it")
            if len(valid[0]) > _HASH_FIELD and valid[0][_HASH_FIELD] in _WEAK_HASHES:
                return Untrusted("its signature uses a hash that can be forged (SHA-1, MD5 or RIPEMD-160)")
            address = re.search(r"<([^<>]+)>\s*$", user)
            # The last field is the primary key's fingerprint; a subkey may have signed.
            return Verified(address[1] if address else user, Scheme.OPENPGP, valid[0][-1])
        case "EXPSIG":
            return Expired(f"the signature of {user} has expired")
        case "EXPKEYSIG":
            return Expired(f"the key {key} of {user} has expired")
        case "REVKEYSIG":
            return RevokedKey(f"the key {key} of {user} was revoked")
        case "ERRSIG":
            missing = any(line[0] == "NO_PUBKEY" for line in lines)
            return Untrusted(
                f"its key {key} is not in the key ring" if missing else f"gpg cannot check a signature by key {key}",
                key,
            )
        case _:
            return BadSignature("its signature does not fit its content")


def _trouble(outcome: process.TimedOut | process.Missing) -> str:
    match outcome:
        case process.TimedOut(timeout_s):
            return f"gpg did not answer within {timeout_s:g} s"
        case process.Missing(program, why):
            return f"{program}: {why}"
