"""`hagit secret`: changes the secret that both controllers share, step by step, while they understand each other.

Each step changes only files of this controller, beside the file that the node file names. The watchdog reads them every
second. `core/failover/heartbeats/secret_change` refuses a step after which one controller could not understand the
other. The command prints fingerprints, never a secret.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import NodeOption, Output, OutputOption
from reconciler.cli.terminal import fold, styled, width
from reconciler.errors import UsageError
from reconciler.system.files import read_bytes
from reconciler.system.node import find_node_file, load_node
from reconciler.system.secret import SECRET_BYTES_MAX, next_path, previous_path
from reconciler.system.secret_steps import (
    SecretState,
    SecretStepRefused,
    add_secret,
    await_followed,
    drop_secret,
    new_secret,
    require_watchdog,
    secret_lock,
    secret_state,
    use_secret,
)

DONE, REFUSED, TIMED_OUT = 0, 1, 3


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
    require_watchdog(loaded)
    if (file is not None) != (step == "import"):
        raise UsageError("a file, or - for standard input, goes with `import` and nothing else")
    if step == "status":
        return _show(secret_state(loaded), as_json)
    try:
        with secret_lock(loaded, step):
            text = _step(secret_state(loaded), step, file, without_peer)
    except SecretStepRefused as error:
        refusal = error.refusal
        if as_json:
            print(json.dumps({"format": "hagit.secret/1", "outcome": "refused", "text": refusal.what}, indent=1))
        else:
            print(f"hagit: refused: {refusal.what}\n  {refusal.remedy}", file=sys.stderr)
        return REFUSED
    followed = await_followed(loaded)
    if as_json:
        _show(secret_state(loaded), as_json)
    else:
        print("\n".join(fold(text, width() - 1)))
    if not followed:
        print("hagit: the watchdog has not followed the files yet; see `hagit status`", file=sys.stderr)
    return DONE if followed else TIMED_OUT


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


def _new(state: SecretState) -> str:
    number = new_secret(state)
    return (
        f"Made secret {number}: this controller accepts it and does not use it yet. Take it to "
        f"{state.peer} by a safe way: ssh root@{state.peer} hagit secret import - < {next_path(state.file)}\n"
        "Then run `hagit secret use` on both controllers, one after the other."
    )


def _import(state: SecretState, file: str) -> str:
    if file == "-":
        if sys.stdin.isatty():
            raise UsageError("a secret is not typed", remedy="hagit secret import - < FILE")
        data = sys.stdin.buffer.read(SECRET_BYTES_MAX + 1)
    else:
        data = read_bytes(Path(file), SECRET_BYTES_MAX) or b""
    number = add_secret(state, data.strip())
    return f"This controller accepts {number} and does not use it yet. Next: `hagit secret use` on both controllers."


def _use(state: SecretState, without_peer: bool) -> str:
    use_secret(state, without_peer=without_peer)
    return (
        f"This controller seals with {state.next} and still accepts {state.used}. Next: `hagit secret use` on "
        f"{state.peer} if that is not done yet; then `hagit secret drop` on both."
    )


def _drop(state: SecretState, without_peer: bool) -> str:
    drop_secret(state, without_peer=without_peer)
    if not state.previous:
        return f"Dropped {state.next}, which was never used here. Drop it on {state.peer}, too."
    return f"Dropped {state.previous}. This controller accepts {state.used} alone."


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
