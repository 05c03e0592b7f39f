"""An enrolment that is stored and not in force yet: identity and secrets in one file beside the identity.

    peer/pending.json

It is committed in an order that may be cut anywhere and repeated: secrets, then the identity, which is the moment that
counts, then the end of this file.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler.errors import StateError, shape_defect
from reconciler.system.clock import wall_s
from reconciler.system.files import make_directory, read_json, state_error, write_json
from reconciler.system.node import Node
from reconciler.system.peer.identity import (
    PeerIdentity,
    identity_document,
    identity_from_document,
    peer_directory,
    write_identity,
)
from reconciler.system.peer.pair_secrets import (
    PairSecrets,
    secrets_document,
    secrets_from_document,
    write_pair_secrets,
)

FORMAT: Final = "hagit.enrolment/1"
PENDING_FILE: Final = "pending.json"


@dataclass(frozen=True, slots=True)
class PendingEnrolment:
    """What an enrolment makes of this controller. `keep_next`: see `write_pair_secrets`.

    `joiner`: whether this controller was told the code. It then waits for the host's word; a host waits for none.
    """

    identity: PeerIdentity
    secrets: PairSecrets
    joiner: bool
    keep_next: bool = False


def pending_path(node: Node) -> Path:
    """The file of an enrolment that is not in force yet."""
    return peer_directory(node) / PENDING_FILE


def store_pending(node: Node, pending: PendingEnrolment) -> None:
    """Store it, whole and synced. Raises StateError, for example on a full disk."""
    make_directory(peer_directory(node))
    document = {
        "format": FORMAT,
        "identity": identity_document(pending.identity),
        "secrets": secrets_document(pending.secrets),
        "joiner": pending.joiner,
        "keep_next": pending.keep_next,
    }
    write_json(pending_path(node), document)


def load_pending(node: Node) -> PendingEnrolment | None:
    """What is stored, None without it. Raises StateError when it is damaged."""
    document = read_json(pending_path(node))
    if document is None:
        return None
    try:
        return PendingEnrolment(
            identity_from_document(document["identity"]),
            secrets_from_document(document["secrets"]),
            bool(document["joiner"]),
            bool(document.get("keep_next", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise StateError(
            f"damaged: {shape_defect(error)}", where=str(pending_path(node)), remedy="remove this file, and enrol again"
        ) from error


def discard_pending(node: Node) -> None:
    """Forget what is stored. Raises StateError."""
    try:
        pending_path(node).unlink(missing_ok=True)
    except OSError as error:
        raise state_error(pending_path(node), error, "remove this file") from error


def commit_pending(node: Node) -> tuple[str, ...]:
    """Put what is stored in force. Returns what a person should know. Repeating it is harmless. Raises HagitError."""
    pending = load_pending(node)
    if pending is None:
        return ()
    notes = write_pair_secrets(node, pending.secrets, keep_next=pending.keep_next)
    write_identity(node, replace(pending.identity, enrolled_s=wall_s()))
    discard_pending(node)
    return notes
