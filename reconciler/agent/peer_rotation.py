"""The agent's part of a rotation that the peer leads: new certificates, then a new heartbeat secret.

    offer    accept the peer's next certificate besides the present one, and answer with our own next one
    use      show our next certificate from now on
    drop     accept only the certificate that this request shows
    secret   one step of `hagit secret`: import, use, drop

Both certificates of a controller are accepted until both have changed, so each step may be cut, and the whole repeated.
The peer leads and learns the end of each step from its reply, so no step is done that the other one cannot follow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from reconciler.errors import PeerError, PeerErrorCode
from reconciler.system.clock import monotonic_s
from reconciler.system.files import Lock
from reconciler.system.peer.channel import Handler, PeerReply, PeerRequest
from reconciler.system.peer.identity import PeerIdentity, load_identity, peer_directory, write_identity
from reconciler.system.secret_steps import (
    SecretState,
    SecretStepRefused,
    add_secret,
    await_followed,
    drop_secret,
    secret_lock,
    secret_state,
    use_secret,
)

if TYPE_CHECKING:
    from reconciler.agent.session import Session

#: A step of the secret is tried again for this time: the agent seals the orders anew within a second or two.
STEP_S_MAX: Final = 12.0
PAUSE_S: Final = 0.2


def rotation_handlers(sessions: Callable[[], Session]) -> dict[str, Handler]:
    """The requests of a rotation."""

    def served(step: Callable[[Session, PeerRequest], PeerReply]) -> Handler:
        def serve(request: PeerRequest) -> PeerReply:
            with sessions() as session, Lock(peer_directory(session.node) / "enroll.lock", "hagit agent"):
                return step(session, request)

        return serve

    return {
        "rotate-offer": served(_offer),
        "rotate-use": served(_use),
        "rotate-drop": served(_drop),
        "rotate-secret": served(_secret),
    }


def _identity(session: Session) -> PeerIdentity:
    identity = load_identity(session.node)
    if identity is None:
        raise PeerError(PeerErrorCode.REFUSED, "this controller is not enrolled any more")
    return identity


def _offer(session: Session, request: PeerRequest) -> PeerReply:
    # Imported late: the library is large, and an agent needs it for a rotation only.
    from reconciler.system.peer.certificate import certificate_defect, new_credentials

    identity = _identity(session)
    offered = _bytes(request.body.get("certificate"))
    if defect := certificate_defect(offered):
        raise PeerError(PeerErrorCode.FAILED, f"the next certificate of the peer cannot be used: {defect}")
    if not identity.next_certificate:
        made = new_credentials(f"hagit {identity.pair or 'pair'} {identity.side}")
        identity = replace(identity, next_key=made.key, next_certificate=made.certificate)
    pins = tuple(dict.fromkeys((request.certificate, offered)))
    write_identity(session.node, replace(identity, peer_certificates=pins))
    return PeerReply({"certificate": identity.next_certificate.hex()})


def _use(session: Session, request: PeerRequest) -> PeerReply:
    identity = _identity(session)
    if identity.next_certificate:
        write_identity(session.node, identity.with_next())
    return PeerReply()


def _drop(session: Session, request: PeerRequest) -> PeerReply:
    identity = _identity(session)
    if request.certificate != identity.peer_certificates[-1]:
        what = "the peer shows its old certificate, and asks that only the new one be accepted"
        raise PeerError(PeerErrorCode.REFUSED, what, remedy="repeat the rotation: hagit enroll --rotate")
    write_identity(session.node, replace(identity, peer_certificates=(request.certificate,)))
    return PeerReply()


def _secret(session: Session, request: PeerRequest) -> PeerReply:
    node, step = session.node, request.body.get("step")
    secret = _bytes(request.body.get("secret"))

    def carried() -> None:
        # The peer asks for a step only when its watchdog understands what this one does then.
        state = secret_state(node)
        if step == "import" and not _has(state, secret):
            add_secret(state, secret)
        elif step == "use" and state.next:
            use_secret(state, without_peer=True)
        elif step == "drop" and state.previous:
            drop_secret(state, without_peer=True)

    if step not in ("import", "use", "drop"):
        raise PeerError(PeerErrorCode.UNKNOWN_REQUEST, "there is no such step of a change of the secret")
    with secret_lock(node, step, wait_s=5.0):
        carry_out(carried)
    if not await_followed(node):
        what = "the watchdog there has not followed the files yet"
        raise PeerError(PeerErrorCode.FAILED, what, remedy="see `hagit status` there")
    return PeerReply({"used": secret_state(node).used})


def _has(state: SecretState, secret: bytes) -> bool:
    from reconciler.core.failover.heartbeats.keyring import fingerprint, fingerprint_text

    return fingerprint_text(fingerprint(secret)) in (state.used, state.next)


def carry_out(step: Callable[[], Any]) -> None:
    """Do one step, and try again for `STEP_S_MAX` while it is refused. Raises PeerError (failed) with the reason."""
    end_s, pause = monotonic_s() + STEP_S_MAX, threading.Event()
    while True:
        try:
            step()
            return
        except SecretStepRefused as error:
            if monotonic_s() > end_s:
                refusal = error.refusal
                raise PeerError(PeerErrorCode.FAILED, refusal.what, remedy=refusal.remedy) from error
        pause.wait(PAUSE_S)


def _bytes(value: object) -> bytes:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""
