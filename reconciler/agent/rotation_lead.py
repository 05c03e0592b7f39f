"""The leader's part of a rotation: new certificates, then a new heartbeat secret, on both controllers.

`agent/peer_rotation` does the same steps on the peer, one request for each. Every step may be cut, and the whole
repeated: it goes on where the files are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from reconciler.agent.peer_rotation import carry_out
from reconciler.errors import PeerError, PeerErrorCode, UsageError
from reconciler.system.clock import monotonic_s
from reconciler.system.peer.channel import PeerClient
from reconciler.system.peer.identity import PeerIdentity, load_identity, write_identity
from reconciler.system.secret_steps import (
    await_followed,
    drop_secret,
    new_secret,
    next_secret,
    secret_lock,
    secret_state,
    use_secret,
)

if TYPE_CHECKING:
    from reconciler.agent.session import Session

STEP_S: Final = 30.0
#: The peer's agent looks for a new identity every second.
SWITCH_S: Final = 10.0
PAUSE_S: Final = 0.1


def rotate_certificates(session: Session) -> None:
    """Give both controllers new keys and certificates. Raises PeerError; repeating it goes on."""
    from reconciler.system.peer.certificate import certificate_defect, new_credentials

    identity, client = _identity(session), _client(session)
    made = new_credentials(f"hagit {identity.pair or 'pair'} {identity.side}")
    said = client.ask("rotate-offer", {"certificate": made.certificate.hex()}, timeout_s=STEP_S).body
    offered = said.get("certificate")
    try:
        theirs = bytes.fromhex(offered) if isinstance(offered, str) else b""
    except ValueError:
        theirs = b""
    if defect := certificate_defect(theirs):
        raise PeerError(PeerErrorCode.FAILED, f"the next certificate of the peer cannot be used: {defect}")
    pins = tuple(dict.fromkeys((client.certificate, theirs)))
    identity = replace(
        identity, key=made.key, certificate=made.certificate, peer_certificates=pins, next_key="", next_certificate=b""
    )
    write_identity(session.node, identity)
    client = _client(session)
    client.ask("rotate-use", {}, timeout_s=STEP_S)
    end_s, pause = monotonic_s() + SWITCH_S, threading.Event()
    while client.certificate != theirs:
        if monotonic_s() > end_s:
            raise PeerError(
                PeerErrorCode.FAILED,
                "the peer's agent does not show its new certificate yet; both are accepted",
                remedy="repeat it: hagit enroll --rotate",
            )
        pause.wait(PAUSE_S)
        client.ask("hello", {})
    write_identity(session.node, replace(identity, peer_certificates=(theirs,)))
    _client(session).ask("rotate-drop", {}, timeout_s=STEP_S)


def rotate_secret(session: Session) -> str:
    """Change the heartbeat secret on both controllers. Returns the fingerprint in use.

    Each step is done only when the reply of the peer shows that it can follow. Raises PeerError, UsageError.
    """
    node, client = session.node, _client(session)
    if not secret_state(node).used:
        raise UsageError("this controller has no heartbeat secret", remedy="run: hagit enroll --replace SERIAL")

    def here(step: Callable[[], Any]) -> None:
        with secret_lock(node, "rotate", wait_s=5.0):
            carry_out(step)
        if not await_followed(node):
            raise PeerError(
                PeerErrorCode.FAILED, "the watchdog has not followed the files yet", remedy="see `hagit status`"
            )

    def there(step: str, **more: str) -> None:
        client.ask("rotate-secret", {"step": step, **more}, timeout_s=STEP_S)

    state = secret_state(node)
    if state.previous:
        # An earlier rotation was cut after this controller had changed: end that one first.
        there("use")
        here(lambda: drop_secret(secret_state(node), without_peer=True))
        there("drop")
    if not secret_state(node).next:
        here(lambda: new_secret(secret_state(node)))
    there("import", secret=next_secret(secret_state(node)).hex())
    here(lambda: use_secret(secret_state(node), without_peer=True))
    there("use")
    here(lambda: drop_secret(secret_state(node), without_peer=True))
    there("drop")
    return secret_state(node).used


def _identity(session: Session) -> PeerIdentity:
    identity = load_identity(session.node)
    if identity is None:
        raise UsageError("this controller is not enrolled", remedy="run on both: hagit enroll")
    return identity


def _client(session: Session) -> PeerClient:
    client = session.peer
    assert client is not None, "the identity was read before"
    return client
