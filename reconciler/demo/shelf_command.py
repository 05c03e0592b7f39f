"""`python -m reconciler.demo.shelf_command SOCKET REQUEST...`: a person at the simulated shelf, from a terminal.

    state                        what is true: pools, keys, the invariant that broke, if one did
    history                      what happened, a line each
    inject FAULT [WORD...]       let something fail: `inject disk-hangs disk0`, `inject disks-lost a`
    heal FAULT [WORD...]         undo it
    faults                       the faults of a shelf, with the words they take

The names are those of `hagit rehearse`. Decides nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reconciler.demo.control_requests import FAULTS
from reconciler.demo.powered_controller import Control
from reconciler.errors import HagitError, UsageError
from reconciler.simulation import faults


def answer(path: Path, words: list[str]) -> str:
    """What is printed. Raises UsageError or StateError."""
    match words:
        case ["faults"]:
            rows = (faults.FAULTS[name] for name in FAULTS)
            return "\n".join(f"{row.name} {' '.join(f'<{kind}>' for kind in row.takes)}: {row.models}" for row in rows)
        case ["inject" | "heal" as do, name, *rest]:
            return _ask(path, do, name=name, words=rest)
        case ["state" | "history" as do]:
            return _ask(path, do)
        case _:
            raise UsageError("state, history, faults, inject FAULT [WORD...] or heal FAULT [WORD...]")


def _ask(path: Path, do: str, **words: object) -> str:
    try:
        control = Control(path)
    except OSError as error:
        raise UsageError(f"no shelf answers: {error.strerror}", where=str(path)) from None
    try:
        if do == "history":
            return "\n".join(f"{at_ms / 1000:10.3f}  {who:6}  {text}" for at_ms, who, text in control.history())
        return json.dumps(control.ask(do, **words), indent=2)
    finally:
        control.close()


def main() -> int:
    """Ask once."""
    try:
        if len(sys.argv) < 2:
            raise UsageError("at_shelf SOCKET REQUEST...")
        print(answer(Path(sys.argv[1]), sys.argv[2:]))
    except HagitError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
