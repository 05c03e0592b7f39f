"""SSH signatures by the system's own `ssh-keygen -Y`, which knows namespaces, validity, certificates and revocation.

Format: PROTOCOL.sshsig; the file of trusted keys: ssh-keygen(1), ALLOWED SIGNERS. Decides nothing beyond reading the
tool's answer.
"""

from __future__ import annotations

import re
import time
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
_PRINCIPALS_MAX = 8
_GOOD = re.compile(rb'Good "git" signature .*?with \S+ key (\S+)')


def verify_ssh(part: SignedPart, allowed: Path | None, revoked: Path | None, signature_file: Path) -> Verdict:
    """What the SSH signature in `signature_file`, the one of `part`, proves. `allowed` None: no key is trusted."""
    if allowed is None:
        return _of_a_stranger(part, signature_file, "no allowed_signers file is named in the node file")
    # The tool reads local time, as in the allowed_signers file. A time to come would make a future key valid early.
    moment = time.strftime("%Y%m%d%H%M%S", time.localtime(max(0, min(part.time_s, int(time.time())))))
    at_its_time = f"-Overify-time={moment}"
    found = _keygen("find-principals", "-s", str(signature_file), "-f", str(allowed), at_its_time)
    if not isinstance(found, process.Finished):
        return Unverifiable(_trouble(found))
    principals = found.stdout.decode(errors="replace").split("\n")[:_PRINCIPALS_MAX] if found.code == 0 else []
    answers = [found]
    for principal in filter(None, principals):
        base = ["-s", str(signature_file), "-f", str(allowed), "-I", principal, "-n", "git", at_its_time]
        answer = _keygen("verify", *base, *(["-r", str(revoked)] if revoked else []), stdin=part.payload)
        if not isinstance(answer, process.Finished):
            return Unverifiable(_trouble(answer))
        good = _GOOD.search(answer.stdout)
        if answer.code == 0 and good:
            return Verified(principal, Scheme.SSH, good[1].decode())
        answers.append(answer)
        if revoked is not None:
            # The tool keeps silent about why; the same question without the list shows that the list made it say no.
            without = _keygen("verify", *base, stdin=part.payload)
            if isinstance(without, process.Finished) and without.code == 0:
                return RevokedKey(f"the key of {principal} stands in {revoked}")
    words = b" ".join(answer.stderr for answer in answers).decode(errors="replace")
    return _refusal(part, signature_file, allowed, words)


def _refusal(part: SignedPart, signature_file: Path, allowed: Path, words: str) -> Verdict:
    if timing := re.search(r"key (has expired|is not yet valid|not yet valid)[^\n]*", words):
        return Expired(f"{timing[0].strip()} ({allowed})")
    if "namespace" in words:
        return Untrusted("it was made for another purpose than git (namespace)")
    return _of_a_stranger(part, signature_file, f"its key is not in {allowed}")


def _of_a_stranger(part: SignedPart, signature_file: Path, why: str) -> Verdict:
    """Whether the signature fits at all, whosever it is."""
    answer = _keygen("check-novalidate", "-n", "git", "-s", str(signature_file), stdin=part.payload)
    if not isinstance(answer, process.Finished):
        return Unverifiable(_trouble(answer))
    good = _GOOD.search(answer.stdout)
    if answer.code != 0 or not good:
        return BadSignature("its signature does not fit its content")
    fingerprint = good[1].decode()
    return Untrusted(f"{why} ({fingerprint})", fingerprint)


def _keygen(action: str, *options: str, stdin: bytes = b"") -> process.Outcome:
    return process.run(
        ["ssh-keygen", "-Y", action, *options], stdin=stdin, timeout_s=TOOL_TIMEOUT_S, limits=TOOL_LIMITS
    )


def _trouble(outcome: process.TimedOut | process.Missing) -> str:
    match outcome:
        case process.TimedOut(timeout_s):
            return f"ssh-keygen did not answer within {timeout_s:g} s"
        case process.Missing(program, why):
            return f"{program}: {why}"
