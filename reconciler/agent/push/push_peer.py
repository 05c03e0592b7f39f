"""The peer's part in a push, as this controller's agent asks for it over the channel.

    push-state    the peer's branch, its tip, and the commit that it accepted last
    push-offer    a commit with its objects: kept under a staging reference, synced, and judged by the peer's own policy
    push-plan     its plan for a commit that was offered a moment ago, as the request `plan` gives one
    push-move     the peer moves its branch to the offered commit, by compare and swap
    push-fetch    the peer's tip, with what this controller lacks

`peer_pushes` answers them. A peer that does not know them runs an older release. Fields may be added; unknown ones are
ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from reconciler.core.push.agreement import PeerAnswer, PeerVerdict
from reconciler.errors import HagitError, SourceError

STATE, OFFER, PLAN, MOVE, FETCH = "push-state", "push-offer", "push-plan", "push-move", "push-fetch"
STATE_S: Final = 3.0
#: The peer verifies signatures and compiles; it is as slow as this controller.
OFFER_S: Final = 25.0
MOVE_S: Final = 5.0
COMMIT_LENGTH: Final = 40


class ChannelReply(Protocol):
    """What the peer answered."""

    @property
    def body(self) -> Mapping[str, Any]:
        """A JSON object."""
        ...

    @property
    def attachment(self) -> bytes:
        """Bytes beside it."""
        ...


class PeerChannel(Protocol):
    """The authenticated channel to the peer's agent. `ask` raises HagitError with a `code`."""

    def ask(
        self, request: str, body: Mapping[str, Any], *, attachment: bytes = b"", timeout_s: float = 5.0
    ) -> ChannelReply:
        """Send a request and wait for its reply."""
        ...


@dataclass(frozen=True, slots=True)
class PeerBranch:
    """Where the peer's branch is, and which commit its agent accepted last; empty for none."""

    branch: str
    tip: str
    accepted: str


class PushPeer:
    """The peer in one push. Silence and refusals are answers; only `branch` and `fetch` raise HagitError."""

    def __init__(self, channel: PeerChannel) -> None:
        self._channel = channel

    def branch(self) -> PeerBranch:
        """The state of the peer's repository. Raises HagitError as the channel does."""
        body = self._channel.ask(STATE, {}, timeout_s=STATE_S).body
        return PeerBranch(str(body.get("branch", "")), commit_in(body, "tip"), commit_in(body, "accepted"))

    def offer(self, branch: str, tip: str, pack: bytes, *, only_plan: bool) -> PeerAnswer:
        """Let the peer judge a commit and keep its objects."""
        body = {"branch": branch, "tip": tip, "plan": only_plan}
        try:
            reply = self._channel.ask(OFFER, body, attachment=pack, timeout_s=OFFER_S).body
        except HagitError as error:
            return silence(error)
        if reply.get("accepted") is True:
            return PeerAnswer(PeerVerdict.READY, _text(reply))
        return PeerAnswer(PeerVerdict.REFUSED, _text(reply))

    def move(self, branch: str, old: str, new: str) -> PeerAnswer:
        """Let the peer move its branch from `old` to `new`."""
        try:
            reply = self._channel.ask(MOVE, {"branch": branch, "old": old, "new": new}, timeout_s=MOVE_S).body
        except HagitError as error:
            return silence(error)
        verdict = PeerVerdict.READY if reply.get("accepted") is True else PeerVerdict.REFUSED
        return PeerAnswer(verdict, _text(reply))

    def fetch(self, have: Sequence[str]) -> tuple[str, bytes]:
        """The peer's tip, and a pack of what `have` lacks of it. Raises HagitError."""
        reply = self._channel.ask(FETCH, {"have": list(have)[:16]}, timeout_s=OFFER_S)
        return commit_in(reply.body, "tip"), reply.attachment


def silence(error: HagitError) -> PeerAnswer:
    """What an error of the channel says about the peer."""
    code = str(getattr(error, "code", ""))
    if code == "unknown-request":
        return PeerAnswer(PeerVerdict.OLDER)
    if code == "failed":
        return PeerAnswer(PeerVerdict.REFUSED, str(error))
    return PeerAnswer(PeerVerdict.SILENT, error.what)


def commit_in(body: Mapping[str, Any], name: str) -> str:
    """A full commit id in a message, empty where there is none. Raises SourceError when it is something else."""
    value = body.get(name, "")
    if value == "" or value is None:
        return ""
    if isinstance(value, str) and len(value) == COMMIT_LENGTH and set(value) <= set("0123456789abcdef"):
        return value
    raise SourceError(f"the message has no commit in `{name}`", where="the other controller")


def _text(body: Mapping[str, Any]) -> str:
    value = body.get("text", "")
    return value[:20_000] if isinstance(value, str) else ""
