"""An enrolment that was cut at its last message: what the joiner stored is put in force when the host's agent takes it.

The host commits before it tells the joiner. So a joiner that was not told asks the host's agent with the stored key: an
answer means that the host has committed. A refusal means that it trusts another key.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from reconciler.errors import PeerError, PeerErrorCode
from reconciler.system.peer.identity import load_identity
from reconciler.system.peer.pending_enrolment import commit_pending, discard_pending, load_pending

if TYPE_CHECKING:
    from reconciler.agent.session import Session

ASK_S: Final = 3.0


class EnrolmentRemains(StrEnum):
    """What became of a stored enrolment."""

    #: There is none.
    NONE = "none"
    #: It is in force now.
    COMMITTED = "committed"
    #: The other controller does not have it, so it was forgotten.
    DISCARDED = "discarded"
    #: The other controller does not answer, so it is kept.
    UNKNOWN = "unknown"


def finish_enrolment(session: Session) -> EnrolmentRemains:
    """Put what is stored in force, forget it, or keep it. Raises HagitError when the files cannot be used."""
    from reconciler.agent.peer_paths import peer_addresses
    from reconciler.system.peer.channel import PeerClient

    pending = load_pending(session.node)
    if pending is None:
        return EnrolmentRemains.NONE
    identity = load_identity(session.node)
    if identity is not None and identity.certificate == pending.identity.certificate:
        # It was cut between the identity, which is the moment that counts, and the end of the file.
        commit_pending(session.node)
        return EnrolmentRemains.COMMITTED
    if not pending.joiner:
        # A host commits before it speaks: nothing that it only stored was told to the joiner.
        discard_pending(session.node)
        return EnrolmentRemains.DISCARDED
    client = PeerClient(pending.identity, peer_addresses(session, pending.identity), session.node.peer.port)
    try:
        client.ask("hello", {}, timeout_s=ASK_S)
    except PeerError as error:
        if error.code is PeerErrorCode.UNREACHABLE:
            return EnrolmentRemains.UNKNOWN
        if not client.certificate and error.code is PeerErrorCode.REFUSED:
            discard_pending(session.node)
            return EnrolmentRemains.DISCARDED
        # The host's agent has accepted the key, and cannot answer the request itself.
    commit_pending(session.node)
    return EnrolmentRemains.COMMITTED
