"""The steps that change the secret which both controllers share, on the files of one controller.

`core/failover/heartbeats/secret_change` decides whether a step is allowed; this module reads what it needs to know,
writes the files, and waits until the watchdog has followed them. A step that is not allowed raises SecretStepRefused.
The command `hagit secret` and the agent, which the peer asks during a rotation, use the same steps.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.heartbeats.authentication import SECRET_BYTES_MIN
from reconciler.core.failover.heartbeats.keyring import fingerprint, fingerprint_text
from reconciler.core.failover.heartbeats.secret_change import (
    SecretStepRefusal,
    SecretView,
    refuse_addition,
    refuse_drop,
    refuse_use,
)
from reconciler.core.failover.orders.document import ORDERS_BYTES_MAX, decode_orders, orders_key
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.power.document import POWER_BYTES_MAX, decode_power
from reconciler.core.status.watchdog import SecretStatus, WatchdogStatus
from reconciler.errors import NodeFileError, StateError
from reconciler.system.clock import monotonic_s
from reconciler.system.files import Lock, read_bytes, write_named
from reconciler.system.node import Node, WatchdogNode
from reconciler.system.secret import SECRET_BYTES_MAX, next_path, previous_path, read_secret
from reconciler.system.watchdog_client import query_status

#: Bytes of a new secret, which is written as hexadecimal digits.
NEW_BYTES: Final = 32
#: Time limit for the watchdog, which reads the files every second, to follow them.
FOLLOW_S: Final = 10.0
LOOK_S: Final = 0.2


class SecretStepRefused(Exception):
    """Raised for a step that is not done."""

    def __init__(self, refusal: SecretStepRefusal) -> None:
        super().__init__(refusal.what)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class SecretState:
    """The secrets of this controller, and its watchdog's status. `used`, `next`, `previous`: fingerprints, or empty."""

    node: Node
    watchdog: WatchdogNode
    status: WatchdogStatus | None
    used: str
    next: str
    previous: str

    @property
    def file(self) -> Path:
        """The file of the secret in use."""
        return self.watchdog.secret

    @property
    def reported(self) -> SecretStatus:
        """Secrets that the watchdog uses and accepts; empty when it does not run."""
        return (self.status.secret if self.status is not None else None) or SecretStatus()

    @property
    def peer(self) -> str:
        """Name of the other controller, for messages."""
        return (self.status.peer.controller if self.status is not None else "") or "the other controller"

    @property
    def view(self) -> SecretView:
        """The same for the core, which decides what may be done."""
        said = self.reported
        return SecretView(
            self.used, self.next, self.previous, self.status is not None, said.accepted, self.peer, said.peer,
            said.peer_accepts,
        )  # fmt: skip

    @property
    def in_force(self) -> bool:
        """Whether the watchdog uses and accepts exactly the secrets of the files."""
        others = {one for one in (self.next, self.previous) if one and one != self.used}
        return self.reported.current == self.used and set(self.reported.accepted) == others


def secret_lock(node: Node, step: str, *, wait_s: float = 0.0) -> Lock:
    """The lock that is held during a step."""
    return Lock(node.state / "secret.lock", f"hagit secret {step}", wait_s=wait_s)


def require_watchdog(node: Node) -> WatchdogNode:
    """The watchdog of the node file. Raises NodeFileError without one."""
    if node.watchdog is None:
        raise NodeFileError("this controller has no watchdog, so no secret of a pair", where=str(node.path))
    return node.watchdog


def secret_state(node: Node) -> SecretState:
    """Read the files and the status of the watchdog. Raises NodeFileError."""
    watchdog = require_watchdog(node)
    reading = query_status(node)
    status = reading.status if reading is not None and reading.fresh else None
    paths = (watchdog.secret, next_path(watchdog.secret), previous_path(watchdog.secret))
    return SecretState(node, watchdog, status, *(_fingerprint_of(path) for path in paths))


def await_followed(node: Node) -> bool:
    """Wait until the watchdog uses the secrets of the files. True at once when none runs, False after FOLLOW_S."""
    end_s, pause = monotonic_s() + FOLLOW_S, threading.Event()
    while True:
        state = secret_state(node)
        if state.status is None or state.in_force:
            return True
        if monotonic_s() > end_s:
            return False
        pause.wait(LOOK_S)


def new_secret(state: SecretState) -> str:
    """Make a next secret here. Returns its fingerprint."""
    _require(refuse_addition(state.view))
    return _keep_next(state, secrets.token_hex(NEW_BYTES).encode())


def add_secret(state: SecretState, secret: bytes) -> str:
    """Accept the secret that the other controller made. Returns its fingerprint."""
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        what = f"this has {len(secret)} bytes, and a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"
        raise SecretStepRefused(SecretStepRefusal(what, "make one with `hagit secret new` on one controller"))
    _require(refuse_addition(state.view, fingerprint_text(fingerprint(secret))))
    return _keep_next(state, secret)


def use_secret(state: SecretState, *, without_peer: bool) -> None:
    """Seal with the next secret, and go on accepting the old one."""
    _require(refuse_use(state.view, without_peer=without_peer))
    # In this order, both secrets are accepted between the two steps and after a crash there.
    _put(state, previous_path(state.file), _read(state.file))
    next_path(state.file).replace(state.file)


def drop_secret(state: SecretState, *, without_peer: bool) -> None:
    """Accept the previous secret no more, or give up a next one that was never used."""
    _require(refuse_drop(state.view, without_peer=without_peer))
    if not state.previous:
        next_path(state.file).unlink()
        return
    for name, decode, most in (
        ("orders.json", decode_orders, ORDERS_BYTES_MAX),
        ("power.json", decode_power, POWER_BYTES_MAX),
    ):
        _require_resealed(state, state.node.state / name, decode, most)
    previous_path(state.file).unlink()


def next_secret(state: SecretState) -> bytes:
    """The next secret, to be carried to the other controller. Raises NodeFileError without a usable one."""
    return _read(next_path(state.file))


def _require(refusal: SecretStepRefusal | None) -> None:
    """Raise SecretStepRefused if there is a refusal."""
    if refusal is not None:
        raise SecretStepRefused(refusal)


def _fingerprint_of(path: Path) -> str:
    """The fingerprint of the secret in a file; empty where there is none. Raises NodeFileError for an unfit one."""
    return fingerprint_text(fingerprint(_read(path))) if path.exists() else ""


def _read(path: Path) -> bytes:
    return read_secret(path, bytes_min=SECRET_BYTES_MIN)


def _keep_next(state: SecretState, secret: bytes) -> str:
    _put(state, next_path(state.file), secret)
    return fingerprint_text(fingerprint(secret))


def _put(state: SecretState, path: Path, secret: bytes) -> None:
    """Write a secret with the owner and group of the one in use, readable by the owner only."""
    facts = state.file.stat()
    write_named(path, secret + b"\n", mode=0o600)
    os.chown(path, facts.st_uid, facts.st_gid)


def _require_resealed(
    state: SecretState, path: Path, decode: Callable[[bytes, Any], object | Refused], bytes_max: int
) -> None:
    """Raise SecretStepRefused unless the agent has sealed this file with the secret in use. A missing file is fine."""
    try:
        data = read_bytes(path, bytes_max)
    except StateError:
        return
    found = decode(data, orders_key(_read(state.file))) if data is not None else None
    if isinstance(found, Refused) and found.why is Refusal.SEAL:
        what = f"{path} is not sealed with {state.used} yet"
        raise SecretStepRefused(SecretStepRefusal(what, "the agent does it: start it, or run `hagit apply`"))
