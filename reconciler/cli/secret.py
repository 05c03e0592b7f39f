"""`hagit secret`: changes the secret that both controllers share, step by step, while they understand each other.

Each step changes only files of this controller, beside the file that the node file names. The watchdog reads them every
second. `core/failover/heartbeats/secret_change` refuses a step after which one controller could not understand the
other. The command prints fingerprints, never a secret.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.terminal import fold, styled, width
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
from reconciler.errors import NodeFileError, StateError, UsageError
from reconciler.system.clock import monotonic_s
from reconciler.system.files import Lock, read_bytes, write_named
from reconciler.system.node import Node, WatchdogNode, find_node_file, load_node
from reconciler.system.secret import SECRET_BYTES_MAX, next_path, previous_path, read_secret
from reconciler.system.watchdog_client import query_status

DONE, REFUSED, TIMED_OUT = 0, 1, 3
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


class SecretWord(StrEnum):
    """Step of a change of the secret."""

    STATUS = "status"
    NEW = "new"
    IMPORT = "import"
    USE = "use"
    DROP = "drop"


def secret(
    what: Annotated[SecretWord, typer.Argument(help="Which step.")] = SecretWord.STATUS,
    file: Annotated[str | None, typer.Argument(help="With import: a file, or - for standard input.")] = None,
    without_peer: Annotated[
        bool, typer.Option("--without-peer", help="The other controller is off, and cannot say what it accepts.")
    ] = False,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Change the secret that both controllers share, without a gap.

    new: make one here, accepted and not used yet. import: accept what the other
    controller made. use: seal with it; the old one is still accepted. drop: accept
    the old one no more, or give up a new one. Each step is refused while one
    controller would not understand the other. No secret is ever shown.

    \b
    Example:  hagit secret new
              ssh root@other hagit secret import - < /etc/hagit/pair.secret.next
              hagit secret use        (on both, one after the other)
              hagit secret drop       (on both)
    """
    loaded, as_json, step = load_node(find_node_file(node)), output is Output.JSON, what.value
    if loaded.watchdog is None:
        raise NodeFileError("this controller has no watchdog, so no secret of a pair", where=str(loaded.path))
    if (file is not None) != (step == "import"):
        raise UsageError("a file, or - for standard input, goes with `import` and nothing else")
    if step == "status":
        return _show(_look(loaded, loaded.watchdog), as_json)
    try:
        with Lock(loaded.state / "secret.lock", f"hagit secret {step}"):
            text = _step(_look(loaded, loaded.watchdog), step, file, without_peer)
    except SecretStepRefused as error:
        refusal = error.refusal
        if as_json:
            print(json.dumps({"format": "hagit.secret/1", "outcome": "refused", "text": refusal.what}, indent=1))
        else:
            print(f"hagit: refused: {refusal.what}\n  {refusal.remedy}", file=sys.stderr)
        return REFUSED
    followed = _followed(loaded, loaded.watchdog)
    if as_json:
        _show(_look(loaded, loaded.watchdog), as_json)
    else:
        print("\n".join(fold(text, width() - 1)))
    if not followed:
        print("hagit: the watchdog has not followed the files yet; see `hagit status`", file=sys.stderr)
    return DONE if followed else TIMED_OUT


def _look(node: Node, watchdog: WatchdogNode) -> SecretState:
    """Read the files and the status of the watchdog."""
    reading = query_status(node)
    status = reading.status if reading is not None and reading.fresh else None
    paths = (watchdog.secret, next_path(watchdog.secret), previous_path(watchdog.secret))
    return SecretState(node, watchdog, status, *(_fingerprint_of(path) for path in paths))


def _fingerprint_of(path: Path) -> str:
    """The fingerprint of the secret in a file; empty where there is none. Raises NodeFileError for an unfit one."""
    return fingerprint_text(fingerprint(_read(path))) if path.exists() else ""


def _read(path: Path) -> bytes:
    return read_secret(path, bytes_min=SECRET_BYTES_MIN)


def _followed(node: Node, watchdog: WatchdogNode) -> bool:
    """Wait until the watchdog uses the secrets of the files. True at once when none runs, False after FOLLOW_S."""
    end_s, pause = monotonic_s() + FOLLOW_S, threading.Event()
    while True:
        state = _look(node, watchdog)
        if state.status is None or _in_force(state):
            return True
        if monotonic_s() > end_s:
            return False
        pause.wait(LOOK_S)


def _in_force(state: SecretState) -> bool:
    """Whether the watchdog uses and accepts exactly the secrets of the files."""
    others = {one for one in (state.next, state.previous) if one and one != state.used}
    return state.reported.current == state.used and set(state.reported.accepted) == others


# Steps ---------------------------------------------------------------------------------------------------------------


def _step(state: SecretState, step: str, file: str | None, without_peer: bool) -> str:
    """Do one step. Returns what was done and what comes next, for people. Raises SecretStepRefused."""
    match step:
        case "new":
            return _new(state)
        case "import":
            return _import(state, file or "-")
        case "use":
            return _use(state, without_peer)
        case _:
            return _drop(state, without_peer)


def _require(refusal: SecretStepRefusal | None) -> None:
    """Raise SecretStepRefused if there is a refusal."""
    if refusal is not None:
        raise SecretStepRefused(refusal)


def _new(state: SecretState) -> str:
    _require(refuse_addition(state.view))
    secret = secrets.token_hex(NEW_BYTES).encode()
    path = _keep_next(state, secret)
    number = fingerprint_text(fingerprint(secret))
    return (
        f"Made secret {number}: this controller accepts it and does not use it yet. Take it to "
        f"{state.peer} by a safe way: ssh root@{state.peer} hagit secret import - < {path}\n"
        "Then run `hagit secret use` on both controllers, one after the other."
    )


def _import(state: SecretState, file: str) -> str:
    if file == "-":
        if sys.stdin.isatty():
            raise UsageError("a secret is not typed", remedy="hagit secret import - < FILE")
        data = sys.stdin.buffer.read(SECRET_BYTES_MAX + 1)
    else:
        data = read_bytes(Path(file), SECRET_BYTES_MAX) or b""
    secret = data.strip()
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        what = f"this has {len(secret)} bytes, and a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"
        raise SecretStepRefused(SecretStepRefusal(what, "make one with `hagit secret new` on one controller"))
    number = fingerprint_text(fingerprint(secret))
    _require(refuse_addition(state.view, number))
    _keep_next(state, secret)
    return f"This controller accepts {number} and does not use it yet. Next: `hagit secret use` on both controllers."


def _use(state: SecretState, without_peer: bool) -> str:
    _require(refuse_use(state.view, without_peer=without_peer))
    # In this order, both secrets are accepted between the two steps and after a crash there.
    _put(state, previous_path(state.file), _read(state.file))
    next_path(state.file).replace(state.file)
    return (
        f"This controller seals with {state.next} and still accepts {state.used}. Next: `hagit secret use` on "
        f"{state.peer} if that is not done yet; then `hagit secret drop` on both."
    )


def _drop(state: SecretState, without_peer: bool) -> str:
    _require(refuse_drop(state.view, without_peer=without_peer))
    if not state.previous:
        next_path(state.file).unlink()
        return f"Dropped {state.next}, which was never used here. Drop it on {state.peer}, too."
    for name, decode, most in (
        ("orders.json", decode_orders, ORDERS_BYTES_MAX),
        ("power.json", decode_power, POWER_BYTES_MAX),
    ):
        _resealed(state, state.node.state / name, decode, most)
    previous_path(state.file).unlink()
    return f"Dropped {state.previous}. This controller accepts {state.used} alone."


def _keep_next(state: SecretState, secret: bytes) -> Path:
    path = next_path(state.file)
    _put(state, path, secret)
    return path


def _put(state: SecretState, path: Path, secret: bytes) -> None:
    """Write a secret with the owner and group of the one in use, readable by the owner only."""
    facts = state.file.stat()
    write_named(path, secret + b"\n", mode=0o600)
    os.chown(path, facts.st_uid, facts.st_gid)


def _resealed(state: SecretState, path: Path, decode: Callable[[bytes, Any], object | Refused], bytes_max: int) -> None:
    """Raise SecretStepRefused unless the agent has sealed this file with the secret in use. A missing file is fine."""
    try:
        data = read_bytes(path, bytes_max)
    except StateError:
        return
    found = decode(data, orders_key(_read(state.file))) if data is not None else None
    if isinstance(found, Refused) and found.why is Refusal.SEAL:
        what = f"{path} is not sealed with {state.used} yet"
        raise SecretStepRefused(SecretStepRefusal(what, "the agent does it: start it, or run `hagit apply`"))


# For people ----------------------------------------------------------------------------------------------------------


def _next_step(state: SecretState) -> str:
    """The next step, in a sentence; empty when no change is under way."""
    if state.next:
        if state.view.peer_knows_next:
            return f"`hagit secret use`: {state.peer} accepts {state.next}"
        return f"on {state.peer}: ssh root@{state.peer} hagit secret import - < {next_path(state.file)}"
    if state.previous:
        if state.reported.peer == state.used:
            return f"`hagit secret drop`: {state.peer} uses {state.used}, too"
        return f"on {state.peer}: `hagit secret use`"
    return ""


def _show(state: SecretState, as_json: bool) -> int:
    reported = state.reported
    if as_json:
        document = {
            "format": "hagit.secret/1",
            "file": {"path": str(state.file), "used": state.used, "next": state.next, "previous": state.previous},
            "watchdog": {
                "runs": state.status is not None,
                "seals": reported.current,
                "accepts": list(reported.accepted),
                "peer": reported.peer,
                "peer_accepts": reported.peer_accepts,
            },
            "next_step": _next_step(state),
        }
        print(json.dumps(document, indent=1))
        return DONE
    print(styled("Secret of the pair, by fingerprints", 1))
    print(f"  file       {state.used or 'missing'}  {state.file}")
    for word, number, path in (
        ("next", state.next, next_path(state.file)),
        ("previous", state.previous, previous_path(state.file)),
    ):
        if number:
            print(f"  {word:<9}  {number}  {path}")
    if state.status is None:
        print("  watchdog   does not run: neither it nor the peer can be asked")
    else:
        print(f"  watchdog   {_secret_text(reported.current, reported.accepted)}")
        other = (reported.peer_accepts,) if reported.peer_accepts else ()
        silent = f"{state.peer} is not heard or not understood"
        text = _secret_text(reported.peer, other) if reported.peer else silent
        print(f"  peer       {text}")
    if step := _next_step(state):
        print("\n".join(fold(f"Next: {step}", width() - 1)))
    return DONE


def _secret_text(seals: str, accepts: tuple[str, ...]) -> str:
    more = f", accepts also {', '.join(accepts)}" if accepts else ""
    return f"seals with {seals}{more}" if seals else "seals with a random secret: the file's is unfit"
