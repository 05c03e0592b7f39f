"""The end of an enrolment, over the connection that the code has secured: carries out what the core decides.

`core/peer/enrolment` says which message follows which; this module sends and reads them, makes the secrets on the
host, stores and commits. It asks nobody anything: the caller says what the person answered.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from reconciler.core.peer.enrolment import (
    ConnectionLost,
    EnrolmentEffect,
    EnrolmentEvent,
    EnrolmentMessage,
    EnrolmentOutcome,
    EnrolmentRole,
    EnrolmentState,
    FilesWritten,
    MessageArrived,
    PersonAnswered,
    advance,
)
from reconciler.errors import HagitError, PeerError, StateError
from reconciler.printing import cut, printable
from reconciler.system.node import Node
from reconciler.system.peer.code_exchange import Exchange, OwnCredentials, made_identity
from reconciler.system.peer.message import encode_head, read_message
from reconciler.system.peer.pair_secrets import (
    PairSecrets,
    completed_secrets,
    merged_secrets,
    read_pair_secrets,
    secrets_document,
    secrets_from_document,
)
from reconciler.system.peer.pending_enrolment import (
    PendingEnrolment,
    commit_pending,
    discard_pending,
    store_pending,
)

#: How long one side waits for the person at the other.
CONFIRM_S_MAX: Final = 600.0
#: How long one side waits for the files of the other.
FILES_S_MAX: Final = 30.0
HEAD_BYTES_MAX: Final = 256 << 10


class EnrolmentDialog:
    """One side, from the comparison of the words to the end. Closes the connection.

    `name`: under which clients know the virtual address. `replaces`: the old peer is expelled, so the heartbeat secret
    that it knows is replaced as well. After `run`, `notes` has what a person should know, and `failure` the error of
    this side's files or the other side's words.
    """

    def __init__(
        self,
        node: Node,
        role: EnrolmentRole,
        own: OwnCredentials,
        exchange: Exchange,
        *,
        name: str = "hagit",
        replaces: bool = False,
    ) -> None:
        self.notes: tuple[str, ...] = ()
        self.failure: HagitError | None = None
        self._node = node
        self._own = own
        self._exchange = exchange
        self._name = name
        self._replaces = replaces
        self._state = EnrolmentState(role)
        self._secrets = PairSecrets()
        self._theirs = PairSecrets()

    @property
    def identity_addresses(self) -> tuple[str, ...]:
        """Where the other controller was found."""
        return (self._exchange.remote,)

    def run(self, yes: bool) -> EnrolmentOutcome:
        """Go on after the person at this controller has answered. Returns how it ended here."""
        self._exchange.stream.deadline_s = time.monotonic() + CONFIRM_S_MAX
        try:
            self._apply(PersonAnswered(yes))
            while self._state.outcome is None:
                self._apply(self._hear())
        finally:
            self._exchange.stream.close()
        return self._state.outcome

    def _apply(self, event: EnrolmentEvent) -> None:
        self._state, effects = advance(self._state, event)
        for effect in effects:
            match effect:
                case EnrolmentEffect.STORE:
                    self._apply(FilesWritten(self._written(self._store)))
                case EnrolmentEffect.COMMIT:
                    self._apply(FilesWritten(self._written(self._commit)))
                case EnrolmentEffect.DISCARD:
                    # The first failure is the one that a person should see.
                    failure = self.failure
                    self._written(lambda: discard_pending(self._node))
                    self.failure = failure or self.failure
                case _:
                    self._send(EnrolmentMessage(effect.removeprefix("send-")))

    def _written(self, write: Any) -> bool:
        try:
            write()
        except HagitError as error:
            self.failure = error
            return False
        return True

    def _store(self) -> None:
        host = self._state.role is EnrolmentRole.HOST
        if host:
            known = merged_secrets(read_pair_secrets(self._node), self._theirs)
            self._secrets = completed_secrets(known, self._name, renew_heartbeat=self._replaces)
        else:
            self._secrets = self._theirs
        identity = made_identity(self._own, self._exchange.offer, (self._exchange.remote,))
        # A heartbeat secret in use stays in use: both controllers change it later, in steps.
        keep_next = self._replaces
        store_pending(self._node, PendingEnrolment(identity, self._secrets, not host, keep_next))

    def _commit(self) -> None:
        self.notes = commit_pending(self._node)

    def _send(self, message: EnrolmentMessage) -> None:
        head: dict[str, Any] = {"enrolment": message.value}
        match message:
            case EnrolmentMessage.CONFIRMED if self._state.role is EnrolmentRole.JOINER:
                # The host takes over what this controller has and it lacks.
                try:
                    head["secrets"] = secrets_document(read_pair_secrets(self._node))
                except HagitError as error:
                    self.failure = error
            case EnrolmentMessage.PREPARE:
                head |= {"secrets": secrets_document(self._secrets), "replaces": self._replaces}
            case EnrolmentMessage.FAILED if self.failure is not None:
                head["why"] = self.failure.what
            case _:
                pass
        try:
            self._exchange.stream.write(encode_head(head))
        except OSError:
            # The reader notices that the connection is gone, and `advance` decides what that means.
            return

    def _hear(self) -> EnrolmentEvent:
        try:
            head, _ = read_message(self._exchange.stream.read, HEAD_BYTES_MAX, 0)
            message = EnrolmentMessage(head.get("enrolment", ""))
            self._take(message, head)
        except (OSError, PeerError, ValueError) as error:
            if isinstance(error, PeerError):
                self.failure = error
            return ConnectionLost()
        self._exchange.stream.deadline_s = time.monotonic() + FILES_S_MAX
        return MessageArrived(message)

    def _take(self, message: EnrolmentMessage, head: Mapping[str, Any]) -> None:
        """Take what a message carries. Raises ValueError."""
        if message is EnrolmentMessage.FAILED:
            why = head.get("why")
            self.failure = StateError(printable(cut(why)) if isinstance(why, str) else "it does not say why")
        known = head.get("secrets")
        if isinstance(known, dict):
            self._theirs = secrets_from_document(known)
            self._replaces = self._replaces or head.get("replaces") is True
            if message is EnrolmentMessage.PREPARE and not all(secrets_document(self._theirs).values()):
                raise ValueError("the host has not made every secret")
