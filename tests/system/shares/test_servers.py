"""Servers side by side: one that hangs or fails holds up no other, and its fault is named."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from reconciler.core.shares.ports import ServerView, Serving
from reconciler.core.shares.shares import (
    Initiator,
    IscsiServer,
    IscsiTarget,
    Lun,
    NfsClients,
    NfsExport,
    NfsServer,
    Protocol,
    Shares,
)
from reconciler.system.shares.servers import ShareServers, protocols_of
from tests.wait import until

TARGET = IscsiTarget("vm", "iqn.2026-01.example:vm", ("192.0.2.1",), (Lun(0, "tank/vm"),), (Initiator("iqn.x:y"),))
BOTH = Shares(
    "tank",
    nfs=NfsServer(("192.0.2.1",)),
    exports=(NfsExport("home", "tank/home", (NfsClients("*"),)),),
    iscsi=IscsiServer(),
    targets=(TARGET,),
)


class Good:
    """Serves at once."""

    def look(self, shares: Shares, deadline_s: float) -> ServerView:
        return ServerView(Serving.UP, tuple(name for _, name in shares.names()))

    def start(self, shares: Shares, deadline_s: float) -> ServerView:
        return self.look(shares, deadline_s)

    def stop(self, deadline_s: float) -> ServerView:
        return ServerView(Serving.DOWN)


class Hung(Good):
    """Returns when it is let go, whatever the deadline."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def start(self, shares: Shares, deadline_s: float) -> ServerView:
        self.let_go.wait(30)
        return super().start(shares, deadline_s)


class Defective(Good):
    """Raises."""

    def start(self, shares: Shares, deadline_s: float) -> ServerView:
        raise RuntimeError("a defect\n")


def test_a_hung_server_is_unknown_until_it_returns() -> None:
    hung = Hung()
    servers = ShareServers({Protocol.NFS: hung, Protocol.ISCSI: Good()})
    begun_s = time.monotonic()
    views = servers.serve(BOTH, (), 0.2)
    assert time.monotonic() - begun_s < 5
    assert (views[Protocol.NFS].serving, views[Protocol.ISCSI].serving) == (Serving.UNKNOWN, Serving.UP)
    assert "no answer within 0.2 s" in views[Protocol.NFS].problems[0].text
    assert servers.hung == (Protocol.NFS,)
    views = servers.stop((Protocol.NFS, Protocol.ISCSI), 5)
    assert (views[Protocol.NFS].serving, views[Protocol.ISCSI].serving) == (Serving.UNKNOWN, Serving.DOWN)
    assert "an earlier request has not returned" in views[Protocol.NFS].problems[0].text
    hung.let_go.set()
    until(lambda: servers.hung == ())
    assert servers.stop((Protocol.NFS,), 5)[Protocol.NFS].serving is Serving.DOWN


def test_a_defect_of_one_server_is_its_problem_alone() -> None:
    servers = ShareServers({Protocol.NFS: Defective(), Protocol.ISCSI: Good()})
    views = servers.serve(BOTH, (), 5)
    assert views[Protocol.ISCSI].serving is Serving.UP
    (problem,) = views[Protocol.NFS].problems
    assert (
        views[Protocol.NFS].serving is Serving.UNKNOWN and "RuntimeError" in problem.text and problem.text.isprintable()
    )


def test_only_servers_with_shares_start_and_the_named_others_stop() -> None:
    servers = ShareServers({Protocol.NFS: Good(), Protocol.ISCSI: Good()})
    one = replace(BOTH, iscsi=None, targets=())
    assert protocols_of(one) == (Protocol.NFS,)
    views = servers.serve(one, (Protocol.ISCSI,), 5)
    assert {protocol: view.serving for protocol, view in views.items()} == {
        Protocol.NFS: Serving.UP,
        Protocol.ISCSI: Serving.DOWN,
    }
    assert set(servers.serve(one, (), 5)) == {Protocol.NFS}


def test_a_protocol_without_a_server_is_named() -> None:
    views = ShareServers({Protocol.NFS: Good()}).look(BOTH, (Protocol.ISCSI,), 1)
    assert views[Protocol.ISCSI].problems[0].text == "this release has no iSCSI server"
