"""The agent's end of the channel between the controllers: a server for the peer's requests.

One line in `handlers_of` adds a request. A handler runs in a thread of its own, so it opens a Session of its own. The
service follows the identity and the revision in force: it serves from the enrolment on, on the addresses that this
controller has, and refuses a peer that the Pair does not name.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from reconciler import __version__
from reconciler.agent.enrolment_recovery import EnrolmentRemains
from reconciler.agent.peer_paths import own_addresses, pair_refusal
from reconciler.agent.peer_rotation import rotation_handlers
from reconciler.agent.push.peer_pushes import push_handlers
from reconciler.agent.rollout_requests import rollout_handlers
from reconciler.agent.session import Session
from reconciler.agent.source.relay import relay_handlers
from reconciler.core.status.revision import revision_document
from reconciler.errors import HagitError, StateError
from reconciler.system.clock import monotonic_s, wall_s
from reconciler.system.files import Lock, file_stamp
from reconciler.system.machine import machine_serial
from reconciler.system.network_links import link_local_addresses
from reconciler.system.node import Node
from reconciler.system.peer.channel import Handler, PeerReply, PeerRequest, PeerServer
from reconciler.system.peer.identity import PeerIdentity, identity_path, load_identity, peer_directory
from reconciler.system.peer.message import VERSION
from reconciler.system.peer.pending_enrolment import pending_path

#: Opens a Session; the caller closes it, as a context manager.
SessionFactory: TypeAlias = Callable[[], Session]

#: Time between two looks at the files that decide who is served, and where.
LOOK_S: Final = 1.0
#: Time between two tries to finish an enrolment that was cut.
FINISH_S: Final = 5.0


def handlers_of(sessions: SessionFactory) -> dict[str, Handler]:
    """Every request that this agent serves."""
    return {
        "hello": lambda request: hello(sessions, request),
        **rotation_handlers(sessions),
        **rollout_handlers(sessions),
        **push_handlers(sessions),
        **relay_handlers(sessions),
    }


def hello(sessions: SessionFactory, request: PeerRequest) -> PeerReply:
    """Who this controller is, and what it runs. Clocks are in seconds since 1970."""
    with sessions() as session:
        applied, wanted = session.store.applied(), session.store.accepted().wanted
        body: dict[str, Any] = {
            "hagit": __version__,
            "protocol": VERSION,
            "side": session.node.controller,
            "serial": machine_serial(session.node.serial_file),
            "clock_s": wall_s(),
            "revision": revision_document(wanted) if wanted is not None else None,
            "applied": revision_document(applied.revision) if applied is not None else None,
            "in_force": applied is not None and applied.holds_now() and applied.complete,
            "orders": session.orders.generation() if session.orders is not None else None,
            "requests": sorted(handlers_of(sessions)),
        }
    return PeerReply(body)


class PeerService:
    """Serves from `start` to `close`, in threads of its own, as long as the pair is enrolled.

    `note` is called with one line when something is wrong that an administrator should know.
    """

    def __init__(self, node: Node, note: Callable[[str], None] | None = None) -> None:
        self._node = node
        self._note = note if note is not None else _print_note
        self._server: PeerServer | None = None
        self._identity: PeerIdentity | None = None
        self._refusal: HagitError | None = None
        self._identity_lock = threading.Lock()
        self._stamps: tuple[object, ...] = ()
        self._noted = ""
        self._finish_s = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peer service", daemon=True)

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving. Running handlers end with the process."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._server is not None:
            self._server.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._finish_pending()
                self._follow()
            except HagitError as error:
                self._say(f"the peer is not served: {error}")
            except Exception as error:
                # A defect here must not end the service for good: the next look may succeed.
                self._say(f"the peer is not served, by a defect: {error!r:.300}")
            self._stopping.wait(LOOK_S)

    def _finish_pending(self) -> None:
        """Finish an enrolment that was cut, unless `hagit enroll` runs: then it is not over yet."""
        if not file_stamp(pending_path(self._node)) or monotonic_s() < self._finish_s:
            return
        self._finish_s = monotonic_s() + FINISH_S
        with (
            contextlib.suppress(StateError),
            Lock(peer_directory(self._node) / "enroll.lock", "hagit agent"),
            self._open() as session,
        ):
            if session.finish_enrolment() is EnrolmentRemains.COMMITTED:
                self._note("an enrolment that was cut is in force now: the other controller had committed it")

    def _follow(self) -> None:
        """Serve what the files say, if they have changed since the last look, or the links of this controller have."""
        state = self._node.state
        paths = (identity_path(self._node), state / "source.json", state / "applied.json")
        stamps = (*map(file_stamp, paths), link_local_addresses())
        if stamps == self._stamps:
            return
        identity = load_identity(self._node)
        if identity is None:
            self._stop_server()
        else:
            with self._open() as session:
                self._serve(session, identity)
        self._stamps, self._noted = stamps, ""

    def _serve(self, session: Session, identity: PeerIdentity) -> None:
        self._refusal = pair_refusal(session, identity)
        addresses = own_addresses(session, identity)
        if self._server is None:
            self._identity = identity
            self._server = PeerServer(
                identity,
                addresses,
                session.node.peer.port,
                handlers_of(self._open),
                refusal=lambda: self._refusal,
                before_handshake=self._follow_identity,
                on_defect=self._note,
            )
        else:
            self._set_identity(self._server, identity)
            self._server.set_addresses(addresses)

    def _follow_identity(self) -> None:
        """Use a new identity at once: during a rotation the peer shows its new certificate in the next moment."""
        server = self._server
        if server is None or self._stamps[:1] == (file_stamp(identity_path(self._node)),):
            return
        with contextlib.suppress(HagitError):
            identity = load_identity(self._node)
            if identity is not None:
                self._set_identity(server, identity)

    def _set_identity(self, server: PeerServer, identity: PeerIdentity) -> None:
        with self._identity_lock:
            if identity != self._identity:
                server.set_identity(identity)
                self._identity = identity

    def _stop_server(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = self._identity = None

    def _open(self) -> Session:
        return Session(self._node.path)

    def _say(self, text: str) -> None:
        """Say it once, not every second."""
        if text != self._noted:
            self._noted = text
            self._note(text)


def _print_note(text: str) -> None:
    print(f"hagit agent: {text}", file=sys.stderr)
