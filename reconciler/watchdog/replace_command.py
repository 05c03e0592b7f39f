"""`hagit watchdog --replace`: asks the running daemon to hand over to a new one, and waits for the result.

The new daemon is a child of the old one and not of this command, so both survive the end of this command. Decides when
to stop waiting. Leaves the hand-over to `successor_handle`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from reconciler.core.status.watchdog import WatchdogStatus, watchdog_from_document
from reconciler.errors import ControlError
from reconciler.system.control import client
from reconciler.system.control_protocol import ControlRequest, RequestKind

#: Exit status if the daemon cannot be replaced while it runs and must be restarted.
RESTART: Final = 3
LOOK_S: Final = 0.2
#: A daemon that does not answer for this long counts as gone, also on a slow machine.
SILENT_S: Final = 30.0
WAIT_S: Final = 800.0


def replace_daemon(run: Path) -> int:
    """Replace the daemon. Returns the exit status: 0 replaced, 1 the old one continues, 3 it can only be restarted."""
    path = run / "watchdog.sock"
    before = _status(path)
    answer = client(path, ControlRequest(RequestKind.REPLACE), SILENT_S)
    if not answer.accepted:
        print(f"hagit: the daemon is not replaced: {answer.text}", file=sys.stderr)
        return RESTART if answer.code in ("REQUEST", "NO_ORDERS") else 1
    began_s = heard_s = time.monotonic()
    while time.monotonic() - began_s < WAIT_S:
        time.sleep(LOOK_S)
        try:
            status = _status(path)
        except ControlError:
            if time.monotonic() - heard_s >= SILENT_S:
                raise
            continue
        heard_s = time.monotonic()
        if before is None or status is None:
            break
        if status.pid != before.pid:
            print(f"hagit: process {status.pid} has taken over from process {before.pid}")
            return 0
        for reason in status.reasons:
            if reason.code == "SUCCESSOR_FAILED":
                print(f"hagit: {reason.text}: {reason.evidence}", file=sys.stderr)
                return 1
    print("hagit: nothing is known of the new daemon; see `hagit status`", file=sys.stderr)
    return 1


def _status(path: Path) -> WatchdogStatus | None:
    answer = client(path, ControlRequest(RequestKind.STATUS), SILENT_S)
    status = watchdog_from_document(answer.document.get("status"))
    return status if isinstance(status, WatchdogStatus) else None
