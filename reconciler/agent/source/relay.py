"""Commits by way of the peer: a controller whose remotes do not answer gets them from the other one.

The peer gives the commit that it accepted last, with what is missing here, over the authenticated channel. It is one
more remote and no more than that: history, signatures and scopes are judged here, by the policy of this controller, and
a peer that lags behind is left alone. Serves the same request to the peer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reconciler.agent.push.push_peer import OFFER_S, PeerChannel, commit_in
from reconciler.agent.session import Session
from reconciler.agent.source.reception import Relay
from reconciler.errors import SourceError
from reconciler.system.git.mirror import Mirror
from reconciler.system.git.mirror_pack import pack_beyond
from reconciler.system.peer.channel import Handler, PeerReply, PeerRequest

REQUEST: Final = "source-fetch"


def peer_relay(channel: Callable[[], PeerChannel | None]) -> Relay:
    """The relay over a channel; None of it on a pair that is not enrolled."""

    def ask(have: str) -> tuple[str, bytes] | None:
        peer = channel()
        if peer is None:
            return None
        reply = peer.ask(REQUEST, {"have": have}, timeout_s=OFFER_S)
        tip = commit_in(reply.body, "tip")
        return (tip, reply.attachment) if tip else None

    return ask


def relay_handlers(sessions: Callable[[], Session]) -> dict[str, Handler]:
    """The handler of the request, by its name."""

    def serve(request: PeerRequest) -> PeerReply:
        with sessions() as session:
            tip, have = session.store.accepted().head, commit_in(request.body, "have")
            if not tip or tip == have:
                return PeerReply({"tip": tip})
            return PeerReply({"tip": tip}, pack_beyond(session.store.mirror, tip, have if _has(session, have) else ""))

    return {REQUEST: serve}


def _has(session: Session, commit: str) -> bool:
    try:
        return bool(commit) and Mirror(session.store.mirror).commit(commit) is not None
    except SourceError:
        return False


def relay_of(sessions: Callable[[], Session]) -> Relay:
    """The relay of a thread that opens a Session for each question."""

    def ask(have: str) -> tuple[str, bytes] | None:
        with sessions() as session:
            return peer_relay(lambda: session.peer)(have)

    return ask
