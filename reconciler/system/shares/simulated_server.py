"""A server of shares for a simulated controller: it serves nothing and behaves like one that does.

What it serves stands in `DIRECTORY/PROTOCOL.served`, so it outlives the process as a kernel's server does, and ends
with the directory (/run) as a kernel's server ends with the machine. `DIRECTORY/PROTOCOL.faults` says from outside what
goes wrong:

    {"start_ms": 300, "stop_ms": 0, "look_ms": 0, "fails": "the text of a problem", "hangs": ["start", "stop"],
     "missing": ["name of a share"], "changed": ["name of a share"], "clients": ["10.0.0.9"]}

`DIRECTORY/log` gets a line for each start and stop: milliseconds of the monotonic clock, protocol, word.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

from reconciler.core.shares.ports import ConnectedClient, ServerView, Serving, ShareProblem
from reconciler.core.shares.shares import Protocol, Shares
from reconciler.errors import HagitError
from reconciler.system.clock import monotonic_s
from reconciler.system.files import append_bytes, make_directory, read_bytes, write_atomic

#: Interval of looks whether a fault has ended.
POLL_S: Final = 0.02


class SimulatedShareServer:
    """See `ShareServer`."""

    def __init__(self, directory: Path, protocol: Protocol) -> None:
        self._directory, self._protocol = directory, protocol
        self._state = directory / f"{protocol}.served"
        self._fault_file = directory / f"{protocol}.faults"

    def look(self, shares: Shares, deadline_s: float) -> ServerView:
        """See `ShareServer.look`."""
        if not self._pass_time("look", deadline_s):
            return self._view(Serving.UNKNOWN, (), (self._problem("", "no answer"),))
        return self._seen(shares)

    def start(self, shares: Shares, deadline_s: float) -> ServerView:
        """See `ShareServer.start`."""
        begun_s = monotonic_s()
        make_directory(self._directory)
        self._log("start")
        if not self._pass_time("start", deadline_s):
            return self._view(Serving.UNKNOWN, (), (self._problem("", "the start takes too long"),))
        faults = self._faults()
        if text := str(faults.get("fails", "")):
            return self._view(Serving.DOWN, (), (self._problem("", text),))
        names = [name for protocol, name in shares.names() if protocol is self._protocol]
        served = [name for name in names if name not in faults.get("missing", ())]
        write_atomic(self._state, json.dumps(served).encode(), sync=False)
        self._log("started")
        took_ms = int((monotonic_s() - begun_s) * 1_000)
        view = self._seen(shares)
        return ServerView(
            view.serving, view.served, view.problems, view.clients, view.clients_count, (("simulated", took_ms),)
        )

    def stop(self, deadline_s: float) -> ServerView:
        """See `ShareServer.stop`."""
        make_directory(self._directory)
        self._log("stop")
        if not self._pass_time("stop", deadline_s):
            return self._view(Serving.PARTLY, (), (self._problem("", "the stop takes too long"),))
        self._state.unlink(missing_ok=True)
        self._log("stopped")
        return self._view(Serving.DOWN)

    def _seen(self, shares: Shares) -> ServerView:
        served, faults = self._served(), self._faults()
        if served is None:
            return self._view(Serving.DOWN)
        names = [name for protocol, name in shares.names() if protocol is self._protocol]
        problems = [self._problem(name, "the simulated share is missing") for name in names if name not in served]
        problems += [
            ShareProblem(
                self._protocol, name, "another program changed it", "commit the change", served=True, changed=True
            )
            for name in faults.get("changed", ())
            if name in served
        ]
        return self._view(Serving.UP, tuple(name for name in names if name in served), tuple(problems))

    def _view(
        self, serving: Serving, served: tuple[str, ...] = (), problems: tuple[ShareProblem, ...] = ()
    ) -> ServerView:
        named = self._faults().get("clients", ()) if serving is Serving.UP else ()
        clients = tuple(
            ConnectedClient(self._protocol, str(address), f"client at {address}", served) for address in named
        )
        return ServerView(serving, served, problems, clients, len(clients))

    def _problem(self, name: str, text: str) -> ShareProblem:
        return ShareProblem(self._protocol, name, text, "end the simulated fault")

    def _pass_time(self, what: str, deadline_s: float) -> bool:
        """Let pass the time that the call takes. False if it takes longer than the deadline."""
        begun_s = monotonic_s()
        while True:
            faults, passed_s = self._faults(), monotonic_s() - begun_s
            hangs = what in faults.get("hangs", ())
            if not hangs and passed_s * 1_000 >= int(faults.get(f"{what}_ms", 0)):
                return True
            if not hangs and passed_s >= deadline_s:
                return False
            time.sleep(POLL_S)

    def _served(self) -> list[str] | None:
        content = self._content(self._state)
        return content if isinstance(content, list) else None

    def _faults(self) -> dict[str, Any]:
        content = self._content(self._fault_file)
        return content if isinstance(content, dict) else {}

    @staticmethod
    def _content(path: Path) -> Any:
        try:
            content = read_bytes(path)
            return None if content is None else json.loads(content)
        except (HagitError, ValueError):
            return None

    def _log(self, word: str) -> None:
        append_bytes(self._directory / "log", f"{int(monotonic_s() * 1_000)} {self._protocol} {word}\n".encode())
