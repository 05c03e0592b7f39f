"""The clients' side of a move on a simulated controller: it notes its calls in the log of the simulated servers.

`DIRECTORY/guard.faults` slows it down from outside, as for a simulated server, or lets it fail:

    {"release_ms": 300, "fails": ["open"]}
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from reconciler.core.shares.shares import Shares
from reconciler.errors import HagitError
from reconciler.system.clock import monotonic_s
from reconciler.system.files import append_bytes, make_directory, read_json
from reconciler.system.findings import Finding
from reconciler.system.shares.clients.guard import GuardReport


class SimulatedGuard:
    """See `ClientGuard`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def before_takeover(self, shares: Shares) -> GuardReport:
        """See `ClientGuard.before_takeover`."""
        return self._note("close")

    def after_serving(self, shares: Shares) -> GuardReport:
        """See `ClientGuard.after_serving`."""
        return self._note("open")

    def record(self, shares: Shares) -> GuardReport:
        """See `ClientGuard.record`."""
        return GuardReport()

    def before_release(self, shares: Shares) -> GuardReport:
        """See `ClientGuard.before_release`."""
        return self._note("release")

    def audit(self, shares: Shares) -> tuple[Finding, ...]:
        """See `ClientGuard.audit`."""
        return ()

    def _note(self, word: str) -> GuardReport:
        make_directory(self._directory)
        try:
            faults = read_json(self._directory / "guard.faults")
        except (HagitError, json.JSONDecodeError):
            faults = None
        faults = faults if isinstance(faults, dict) else {}
        time.sleep(int(faults.get(f"{word}_ms", 0)) / 1_000)
        append_bytes(self._directory / "log", f"{int(monotonic_s() * 1_000)} guard {word}\n".encode())
        if word in faults.get("fails", ()):
            text = "packets of clients could not be let through"
            return GuardReport((Finding("port-filter-refused", text, "simulated", "end the simulated fault"),))
        return GuardReport()
