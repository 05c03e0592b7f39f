"""`python -m reconciler.demo.shelf_command SOCKET REQUEST...`: control the simulated shelf from a terminal.

    state                        pools, keys, and the invariant that broke, if any
    history                      everything that happened, a line each
    inject FAULT [WORD...]       cause a fault: `inject disk-hangs disk0`, `inject disks-lost a`
    heal FAULT [WORD...]         end a fault
    faults                       the faults of a shelf, with their words

The names of faults are those of `hagit rehearse`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reconciler.demo.control_requests import FAULTS
from reconciler.demo.powered_controller import ShelfControl
from reconciler.errors import HagitError, UsageError
from reconciler.simulation.timed import faults


def run_request(path: Path, words: list[str]) -> str:
    """Send one request; return the text to print. Raises UsageError or StateError."""
    match words:
        case ["faults"]:
            rows = (faults.FAULTS[name] for name in FAULTS)
            return "\n".join(f"{row.name} {' '.join(f'<{kind}>' for kind in row.takes)}: {row.models}" for row in rows)
        case ["inject" | "heal" as do, name, *rest]:
            return _send(path, do, name=name, words=rest)
        case ["state" | "history" as do]:
            return _send(path, do)
        case _:
            raise UsageError("state, history, faults, inject FAULT [WORD...] or heal FAULT [WORD...]")


def _send(path: Path, do: str, **words: object) -> str:
    try:
        control = ShelfControl(path)
    except OSError as error:
        raise UsageError(f"no shelf answers: {error.strerror}", where=str(path)) from None
    try:
        if do == "history":
            return "\n".join(f"{at_ms / 1000:10.3f}  {who:6}  {text}" for at_ms, who, text in control.history())
        return json.dumps(control.request(do, **words), indent=2)
    finally:
        control.close()


def main() -> int:
    """Run one request from the command line."""
    try:
        if len(sys.argv) < 2:
            raise UsageError("shelf_command SOCKET REQUEST...")
        print(run_request(Path(sys.argv[1]), sys.argv[2:]))
    except HagitError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
