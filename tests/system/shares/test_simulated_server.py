"""The simulated server keeps the port as the kernel's servers do, and its faults are those that tests ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.shares.ports import Serving
from reconciler.core.shares.shares import NfsClients, NfsExport, NfsServer, Protocol, Shares
from reconciler.system.shares.simulated_server import SimulatedShareServer
from tests.system.shares.conformance import CHECKS, Rig

HOME = NfsExport("home", "tank/home", (NfsClients("*"),))
MAIL = replace(HOME, name="mail", dataset="tank/mail")
GONE = replace(HOME, name="gone", dataset="tank/gone")
ONE = Shares("tank", state="tank/hagit-state", nfs=NfsServer(("192.0.2.1",)), exports=(HOME,))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_port(tmp_path: Path, check: Callable[[Rig], None]) -> None:
    (tmp_path / "nfs.faults").write_text(json.dumps({"missing": ["gone"]}))
    check(
        Rig(
            Protocol.NFS,
            lambda: SimulatedShareServer(tmp_path, Protocol.NFS),
            ONE,
            replace(ONE, exports=(HOME, MAIL)),
            replace(ONE, exports=(HOME, MAIL, GONE)),
        )
    )


def test_a_start_that_takes_too_long_ends_at_its_deadline(tmp_path: Path) -> None:
    (tmp_path / "nfs.faults").write_text(json.dumps({"start_ms": 60_000}))
    server = SimulatedShareServer(tmp_path, Protocol.NFS)
    assert server.start(ONE, 0.1).serving is Serving.UNKNOWN
    assert server.look(ONE, 1.0).serving is Serving.DOWN
