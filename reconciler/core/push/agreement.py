"""Whether a push is acknowledged, given what the peer answered and what the policy allows.

An acknowledged push is on both controllers, durably, or its output says that it is on this one alone. So the peer's
answer counts before anything moves, and silence of the peer is an answer of its own: `push.alone` decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.facts.settings import AlonePolicy

#: The push option that accepts one push on one controller: `git push -o alone`.
ALONE_OPTION = "alone"


class PeerVerdict(StrEnum):
    """What the peer said to a push.

    NEEDLESS: the pair has one controller. DIFFERENT: the peer has another history.
    """

    READY = "ready"
    REFUSED = "refused"
    SILENT = "silent"
    OLDER = "older"
    NOT_ENROLLED = "not-enrolled"
    DIFFERENT = "different"
    NEEDLESS = "needless"


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """A verdict, and the peer's words."""

    verdict: PeerVerdict
    text: str = ""


@dataclass(frozen=True, slots=True)
class PushAgreement:
    """`accepted`: the push goes on. `both`: the peer takes part in it. `text`: what the person who pushes reads."""

    accepted: bool
    both: bool
    text: str = ""


#: Why there is no answer, in words that go on with "so …".
_WHY = {
    PeerVerdict.SILENT: "the peer does not answer",
    PeerVerdict.OLDER: "the peer runs a release of hagit that does not know pushes",
    PeerVerdict.NOT_ENROLLED: "there is no channel to the peer",
}


def agreement(answer: PeerAnswer, policy: AlonePolicy, *, option: bool) -> PushAgreement:
    """What becomes of a push. `option`: it carries the option `alone`.

    An answer that is no silence cannot be overridden: a peer that refuses, or that has another history, would be
    left behind for good.
    """
    match answer.verdict:
        case PeerVerdict.READY:
            return PushAgreement(True, True)
        case PeerVerdict.NEEDLESS:
            return PushAgreement(True, False)
        case PeerVerdict.REFUSED:
            return PushAgreement(False, False, f"the peer refuses it:\n{answer.text}")
        case PeerVerdict.DIFFERENT:
            return PushAgreement(False, False, answer.text)
    why = f"{_WHY[answer.verdict]}{f' ({answer.text})' if answer.text else ''}"
    if option or policy is AlonePolicy.ACCEPT:
        allowed = "as -o alone asks" if option else "as push.alone allows"
        return PushAgreement(
            True, False, f"{why}: accepted on this controller only, {allowed}; an alert stands until the peer has it"
        )
    return PushAgreement(
        False,
        False,
        f"{why}, so the push would be on this controller only, and push.alone refuses that\n"
        "  bring the peer back, or accept it on this controller for once: git push -o alone",
    )
