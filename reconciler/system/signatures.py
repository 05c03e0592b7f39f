"""Who signed a commit, and which commits may not be followed: SSH and OpenPGP, against files outside the repository.

Decides for each commit what its signature proves, and by a policy what is refused. Only the files named in `TrustFiles`
count; a key that stands in the repository never does. SSH keys are judged at the time that the caller gives with each
commit: the time it was first seen, since the holder of an expired key can write any date. OpenPGP keys are judged by
gpg at the present. Signatures and certifications by SHA-1 do not count. Knows neither git nor which commits are new.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.core.facts.settings import UnsignedPolicy
from reconciler.errors import NodeFileError, SignatureRefused, StateError
from reconciler.system.files import open_regular
from reconciler.system.ownership import exposed
from reconciler.system.ownership import remedy as mend
from reconciler.system.signing.openpgp import OpenPgp
from reconciler.system.signing.ssh import verify_ssh
from reconciler.system.signing.verdict import (
    BadSignature,
    RevokedKey,
    Scheme,
    SignedPart,
    Unsigned,
    Untrusted,
    Unverifiable,
    Verdict,
    Verified,
)

SIGNATURE_BYTES_MAX = 64 << 10
TRUST_FILE_BYTES_MAX = 4 << 20
REMEMBERED_MAX = 10_000
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class TrustFiles:
    """The files that say who is trusted, from the node file; None: no signer of that scheme is trusted.

    `allowed_signers`: ssh-keygen(1) ALLOWED SIGNERS. `revoked_keys`: a KRL or public keys, one a line.
    `openpgp_keys`: exported keys, armoured or binary.
    """

    allowed_signers: Path | None = None
    revoked_keys: Path | None = None
    openpgp_keys: Path | None = None

    def digest(self) -> str:
        """Changes when any of the files does. Raises NodeFileError for a file that is missing or open to others."""
        total = hashlib.sha256()
        for file in (self.allowed_signers, self.revoked_keys, self.openpgp_keys):
            content = b"" if file is None else _trusted_content(file)
            total.update(hashlib.sha256(content).digest())
        return total.hexdigest()


@dataclass(frozen=True, slots=True)
class Judgement:
    """Commits that may not be followed and commits to warn about, each with a sentence; in the order given."""

    refused: tuple[tuple[str, str], ...]
    warned: tuple[tuple[str, str], ...]


def verify(
    parts: Sequence[SignedPart], trust: TrustFiles, *, timeout_s: float, known: Mapping[str, Verified] | None = None
) -> dict[str, Verdict]:
    """The verdict on every commit, by its id. `known` holds earlier ones under the same `trust.digest()`.

    Ends within `timeout_s` plus one tool's own limit (10 s); what was not reached is Unverifiable.
    Raises NodeFileError as `TrustFiles.digest`, StateError when no temporary file can be written.
    """
    trust.digest()
    deadline_s = time.monotonic() + timeout_s
    earlier = known or {}
    verdicts: dict[str, Verdict] = {part.commit: earlier[part.commit] for part in parts if part.commit in earlier}
    todo = [part for part in parts if part.commit not in verdicts]
    if not any(part.signature for part in todo):
        return verdicts | {part.commit: Unsigned() for part in todo}
    try:
        with tempfile.TemporaryDirectory(prefix="hagit-") as directory:
            bench = _Bench(Path(directory), trust, deadline_s, any(_is_openpgp(part) for part in todo))
            with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
                verdicts |= zip((part.commit for part in todo), pool.map(bench.verify, todo), strict=True)
    except OSError as error:
        raise StateError(f"cannot write temporary files: {error.strerror}", where=str(error.filename)) from error
    return verdicts


def judge(verdicts: Mapping[str, Verdict], policy: UnsignedPolicy, principals: Sequence[str] = ()) -> Judgement:
    """Apply the policy. `principals` (names or fingerprints), unless empty, says who among the trusted may sign."""
    refused: list[tuple[str, str]] = []
    warned: list[tuple[str, str]] = []
    for commit, verdict in verdicts.items():
        if isinstance(verdict, Verified):
            if not principals or names_of(verdict) & set(principals):
                continue
            why = f"is signed by {verdict.principal}, who is not among the trusted of the Source resource"
            if verdict.scheme is Scheme.OPENPGP:
                why += f" (an OpenPGP key is named there by its fingerprint, {verdict.fingerprint})"
        else:
            why = verdict.why
        if policy is UnsignedPolicy.REFUSE or isinstance(verdict, BadSignature | RevokedKey):
            refused.append((commit, why))
        elif policy is UnsignedPolicy.WARN:
            warned.append((commit, why))
    return Judgement(tuple(refused), tuple(warned))


def names_of(verdict: Verified) -> set[str]:
    """What a signer is known by. A user id of OpenPGP is what its key says of itself; anyone can copy one."""
    return {verdict.fingerprint} if verdict.scheme is Scheme.OPENPGP else {verdict.principal, verdict.fingerprint}


def require(judgement: Judgement, head: str) -> None:
    """Raise SignatureRefused when any commit is refused, naming them and the way out."""
    if not judgement.refused:
        return
    lines = [f"\n  {commit[:12]}: {why}" for commit, why in judgement.refused[:_NAMED_MAX]]
    more = len(judgement.refused) - _NAMED_MAX
    if more > 0:
        lines.append(f"\n  and {more} more")
    raise SignatureRefused(
        "commits have no signature that is trusted here:" + "".join(lines),
        remedy=f"if a person has read them and means it: hagit accept-history {head}; "
        "whom this controller trusts stands in the files that its node file names",
    )


def to_remember(verdicts: Mapping[str, Verdict], trust_digest: str) -> dict[str, object]:
    """What is worth keeping of `verdicts`, ready for JSON; the latest 10,000 that were verified."""
    good = [(commit, asdict(verdict)) for commit, verdict in verdicts.items() if isinstance(verdict, Verified)]
    return {"format": "hagit.signatures/1", "trust": trust_digest, "verified": dict(good[-REMEMBERED_MAX:])}


def remembered(document: object, trust_digest: str) -> dict[str, Verified]:
    """The verdicts in a document of `to_remember`; none if it is damaged or whom we trust has changed since."""
    match document:
        case {"format": "hagit.signatures/1", "trust": str(digest), "verified": dict(verified)} if (
            digest == trust_digest
        ):
            try:
                return {
                    str(commit): Verified(str(one["principal"]), Scheme(one["scheme"]), str(one["fingerprint"]))
                    for commit, one in verified.items()
                }
            except (KeyError, TypeError, ValueError):
                return {}
        case _:
            return {}


class _Bench:
    """The place where one batch is checked: a private directory, and a key ring when one is needed."""

    def __init__(self, directory: Path, trust: TrustFiles, deadline_s: float, with_openpgp: bool) -> None:
        self._directory, self._trust, self._deadline_s = directory, trust, deadline_s
        self._openpgp = OpenPgp(directory / "gnupg", trust.openpgp_keys) if with_openpgp else None

    def verify(self, part: SignedPart) -> Verdict:
        """The verdict on one commit; called from several threads."""
        if part.signature is None:
            return Unsigned()
        if len(part.signature) > SIGNATURE_BYTES_MAX:
            return BadSignature("its signature is longer than any signature is")
        if time.monotonic() > self._deadline_s:
            return Unverifiable("there was no time left to check it")
        file = self._directory / f"{part.commit}.sig"
        file.write_bytes(part.signature)
        if part.signature.lstrip().startswith(b"-----BEGIN SSH SIGNATURE-----"):
            return verify_ssh(part, self._trust.allowed_signers, self._trust.revoked_keys, file)
        if _is_openpgp(part) and self._openpgp is not None:
            if self._trust.openpgp_keys is None:
                return Untrusted("it is signed by OpenPGP, and no OpenPGP keys are named in the node file")
            return self._openpgp.verify(part, file)
        return Untrusted("its signature is neither SSH nor OpenPGP")


def _is_openpgp(part: SignedPart) -> bool:
    return part.signature is not None and part.signature.lstrip().startswith(b"-----BEGIN PGP ")


def trusted_text(file: Path) -> str:
    """The content of a file of signers, when only its owner can change it. Raises NodeFileError."""
    return _trusted_content(file).decode(errors="replace")


def _trusted_content(file: Path) -> bytes:
    """The content of a file that decides whom we trust, provided that only its owner can change it."""
    try:
        if why := exposed(file):
            raise NodeFileError(
                f"others could write themselves into this file: {why}", where=str(file), remedy=mend(why)
            )
        with open_regular(file) as opened:
            content = opened.read(TRUST_FILE_BYTES_MAX + 1)
        if len(content) > TRUST_FILE_BYTES_MAX:
            raise NodeFileError("this file is too large to be a list of keys", where=str(file))
        return content
    except OSError as error:
        raise NodeFileError(
            f"cannot be read: {error.strerror}", where=str(file), remedy="check [trust] in the node file"
        ) from error
