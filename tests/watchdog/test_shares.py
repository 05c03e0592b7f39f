"""Shares with real daemons over simulated servers: the order of effects, servers that fail or hang, restarts."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.machine.outputs import serve_ms
from reconciler.core.failover.orders.document import orders_key
from reconciler.core.failover.reservations.key import Side
from reconciler.core.shares.document import shares_body, shares_document
from reconciler.core.shares.ports import Serving
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
from reconciler.core.status.watchdog import ReasonStatus, ServerStatus
from reconciler.system.control_protocol import RequestKind
from reconciler.system.machine import boot_id
from reconciler.system.shares.client_file import read_clients
from reconciler.system.shares.kept_shares import keep_shares
from reconciler.watchdog.worker_protocol import FailedReply, LookAtShares, SharesReply, WorkerKind
from tests.watchdog.pair import ORDERS, PATIENT, SECRET, VIRTUAL4, Head, Pair
from tests.watchdog.sequences import called, descendants
from tests.watchdog.test_worker_pool import Driver, make_driver, now_ms, rig

__all__ = ["make_driver", "rig"]

NFS: Final = NfsServer((VIRTUAL4,))
HOME: Final = NfsExport("home", "tank/home", (NfsClients("*"),))
MAIL: Final = NfsExport("mail", "tank/mail", (NfsClients("10.79.0.0/24"),))
TARGET: Final = IscsiTarget(
    "vm", "iqn.2026-01.example:vm", (VIRTUAL4,), (Lun(0, "tank/vm"),), (Initiator("iqn.2026-01.example:host"),)
)
BOTH: Final = Shares("tank", state="tank/hagit-state", nfs=NFS, exports=(HOME,), iscsi=IscsiServer(), targets=(TARGET,))
ONE: Final = replace(BOTH, iscsi=None, targets=())
#: A daemon that starts again on a busy machine takes long, and no peer may take that for a death.
SLOW: Final = replace(
    ORDERS,
    timers=replace(PATIENT, silence_ms=20_000, stale_ms=20_000, deadman_ms=20_000, patience_ms=40_000, yield_ms=30_000),
)


def publish(head: Head, shares: Shares, secret: bytes = SECRET) -> None:
    """What the agent does."""
    publish_bytes(head, shares_document(shares, orders_key(secret)))


def publish_bytes(head: Head, data: bytes) -> None:
    made = head.state / ".shares.new"
    made.write_bytes(data)
    made.replace(head.state / "shares.json")


def publish_both(pair: Pair, shares: Shares) -> None:
    for head in (pair.a, pair.b):
        publish(head, shares)


def inject(head: Head, protocol: str, **faults: Any) -> None:
    """What goes wrong with the simulated server; nothing more without words."""
    directory = head.run / "simulated-shares"
    directory.mkdir(exist_ok=True)
    made = directory / f".{protocol}.new"
    made.write_text(json.dumps(faults))
    made.replace(directory / f"{protocol}.faults")


def servers(head: Head) -> dict[str, ServerStatus]:
    status = head.status()
    return {one.protocol: one for one in status.servers} if status is not None else {}


def serves(head: Head, *protocols: str) -> bool:
    rows = servers(head)
    return all(name in rows and rows[name].serving == "up" and not rows[name].unserved for name in protocols)


def reasons(head: Head, code: str) -> list[ReasonStatus]:
    status = head.status()
    return [one for one in status.reasons if one.code == code] if status is not None else []


def log(head: Head) -> list[tuple[int, str, str]]:
    """Starts and stops of the simulated servers: moment in ms, protocol, word."""
    path = head.run / "simulated-shares" / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(at), protocol, word) for at, protocol, word in map(str.split, lines)]


def words(head: Head) -> list[str]:
    return [f"{protocol} {word}" for _, protocol, word in log(head)]


def moment(head: Head, mark: str, **fields: str) -> int:
    """When the newest event of this kind was, in ms of the monotonic clock."""
    found = [
        line["mono_ms"]
        for line in head.timeline()
        if line["mark"] == mark and all(line[name] == value for name, value in fields.items())
    ]
    return int(found[-1])


def shared_pair(make_pair: Callable[..., Pair], shares: Shares = BOTH, **timers: int) -> Pair:
    pair = make_pair(replace(ORDERS, timers=replace(ORDERS.timers, **timers)))
    publish_both(pair, shares)
    return pair


def test_a_takeover_brings_servers_up_between_pools_and_addresses(make_pair: Callable[..., Pair]) -> None:
    pair = shared_pair(make_pair)
    pair.settle()
    pair.until(lambda: serves(pair.a, "nfs", "iscsi") and pair.a.serves)
    inject(pair.b, "nfs", start_ms=300)
    pair.fault("power-off", "a")
    pair.until(lambda: serves(pair.b, "nfs", "iscsi") and pair.b.serves)
    assert words(pair.b).count("nfs start") == 1
    imported = moment(pair.b, "phase", new="active")
    nfs, iscsi = (moment(pair.b, "shares-up", code=name) for name in ("nfs", "iscsi"))
    addresses = moment(pair.b, "addresses-up")
    # One look or one answer may tell of both, in any order.
    assert imported <= min(iscsi, nfs)
    assert max(iscsi, nfs) <= addresses
    assert nfs - imported >= 300
    status = pair.b.status()
    assert status is not None and status.failover is not None
    assert (status.failover.shares_ms or 0) >= 300
    assert {one.protocol: one.served for one in status.servers} == {"nfs": ("home",), "iscsi": ("vm",)}


def test_a_release_takes_addresses_away_then_stops_servers_then_exports(make_pair: Callable[..., Pair]) -> None:
    pair = shared_pair(make_pair)
    pair.settle()
    pair.until(lambda: serves(pair.a, "nfs", "iscsi") and pair.a.serves)
    inject(pair.a, "nfs", stop_ms=300)
    assert pair.a.ask(RequestKind.SWITCHOVER).accepted
    pair.until_phases(a="standby", b="active")
    pair.until(lambda: serves(pair.b, "nfs", "iscsi") and pair.b.serves)
    gone, left = moment(pair.a, "addresses-down"), moment(pair.a, "phase", old="active")
    stop = next(at for at, protocol, word in log(pair.a) if (protocol, word) == ("nfs", "stop"))
    stopped = next(at for at, protocol, word in log(pair.a) if (protocol, word) == ("nfs", "stopped"))
    ended = next(at for at, protocol, word in log(pair.a) if (protocol, word) == ("guard", "release"))
    assert left <= ended <= gone + 20 and gone <= stop + 20 and stopped - stop >= 300
    # Packets pass when the servers serve and the addresses are here, and no longer on the standby.
    pair.until(
        lambda: (
            [word for word in words(pair.b) if word.startswith("guard")][-3:]
            == [
                "guard close",
                "guard close",
                "guard open",
            ]
        )
    )
    pair.until(lambda: any(line["code"] == "CLIENTS" for line in pair.b.timeline()))
    assert moment(pair.b, "addresses-up") <= moment(pair.b, "note", code="CLIENTS")
    assert moment(pair.b, "phase", new="active") >= stopped
    assert moment(pair.a, "shares-down", code="nfs") >= stopped - 20
    assert not reasons(pair.a, "SHARES_DOWN")
    assert {"nfs stopped", "iscsi stopped"} <= set(words(pair.a))


def test_a_server_that_never_starts_holds_up_the_addresses_for_a_while_only(make_pair: Callable[..., Pair]) -> None:
    pair = shared_pair(make_pair)
    inject(pair.a, "nfs", fails="the kernel module nfsd is missing")
    pair.settle()
    pair.until(lambda: serves(pair.a, "iscsi"))
    pair.until(lambda: pair.a.serves, timeout_s=40)
    assert moment(pair.a, "addresses-up") - moment(pair.a, "phase", new="active") >= serve_ms(pair.orders)
    (reason,) = reasons(pair.a, "SHARES_DOWN")
    assert (reason.text, reason.evidence) == ("NFS does not serve", "the kernel module nfsd is missing")
    assert words(pair.a).count("nfs start") >= 3
    inject(pair.a, "nfs")
    pair.until(lambda: serves(pair.a, "nfs", "iscsi"), timeout_s=40)
    pair.until(lambda: not reasons(pair.a, "SHARES_DOWN"))


def test_a_hung_stop_ends_in_the_deadline_of_the_release_and_a_reset(make_pair: Callable[..., Pair]) -> None:
    pair = shared_pair(make_pair)
    pair.settle()
    pair.until(lambda: serves(pair.a, "nfs", "iscsi") and pair.a.serves)
    inject(pair.a, "iscsi", hangs=["stop"])
    assert pair.a.ask(RequestKind.SWITCHOVER).accepted
    assert pair.a.until_reset() == "the daemon asked for it"
    pair.until_phases(b="active")
    assert "RELEASE_HUNG" in [line["code"] for line in pair.a.timeline()]
    pair.until(lambda: serves(pair.b, "nfs", "iscsi") and pair.b.serves)


def test_a_start_that_hangs_is_killed_by_a_release(make_pair: Callable[..., Pair]) -> None:
    pair = shared_pair(make_pair)
    inject(pair.a, "nfs", hangs=["start"])
    pair.settle()
    pair.until(lambda: "nfs start" in words(pair.a) and serves(pair.a, "iscsi"))
    assert "nfs started" not in words(pair.a)
    assert pair.a.ask(RequestKind.SWITCHOVER).accepted
    pair.until(lambda: serves(pair.b, "nfs", "iscsi") and pair.b.serves)
    assert pair.a.on and "iscsi stopped" in words(pair.a)


def test_packets_that_do_not_pass_are_a_reason_and_tried_again(make_pair: Callable[..., Pair]) -> None:
    pair = shared_pair(make_pair)
    inject(pair.a, "guard", fails=["open"])
    pair.settle()
    pair.until(lambda: words(pair.a).count("guard open") >= 2 and bool(reasons(pair.a, "PORT_FILTER_REFUSED")))
    inject(pair.a, "guard")
    pair.until(lambda: not reasons(pair.a, "PORT_FILTER_REFUSED"))
    assert any(line["code"] == "CLIENTS" for line in pair.a.timeline())


def test_a_worker_looks_at_the_servers_of_this_kernel(make_driver: Callable[..., Driver], tmp_path: Path) -> None:
    driver, run = make_driver(Side.A, f"disks:{tmp_path}"), tmp_path / "a"
    body = shares_body(shares_document(BOTH, orders_key(SECRET)), orders_key(SECRET))
    assert isinstance(body, bytes)
    digest = keep_shares(run, boot_id(), body)
    driver.pool.set_wanted(WorkerKind.SHARE_MONITOR, now_ms(), wanted=True)
    reply = driver.ask(LookAtShares(digest, tuple(Protocol)))
    assert isinstance(reply, SharesReply)
    assert {protocol: view.serving for protocol, view in reply.views} == dict.fromkeys(Protocol, Serving.DOWN)
    clients = read_clients(run, boot_id())
    assert clients is not None and clients.counts == ((Protocol.NFS, 0), (Protocol.ISCSI, 0))
    assert driver.ask(LookAtShares("0" * 64, tuple(Protocol))) == FailedReply("other shares are kept by now")


def test_a_changed_document_is_served_at_once_and_an_empty_one_stops_all(make_pair: Callable[..., Pair]) -> None:
    pair = shared_pair(make_pair, ONE)
    pair.settle()
    pair.until(lambda: serves(pair.a, "nfs") and pair.a.serves)
    assert set(servers(pair.a)) == {"nfs"}
    publish_both(pair, replace(BOTH, exports=(HOME, MAIL)))
    pair.until(lambda: servers(pair.a).get("nfs", ServerStatus(protocol="", serving="")).served == ("home", "mail"))
    pair.until(lambda: serves(pair.a, "iscsi"))
    assert words(pair.a).count("nfs stop") == 0
    publish_both(pair, ONE)
    pair.until(lambda: set(servers(pair.a)) == {"nfs"} and "iscsi stopped" in words(pair.a))
    publish_both(pair, Shares("tank"))
    pair.until(lambda: not servers(pair.a) and "nfs stopped" in words(pair.a))
    assert pair.a.serves and pair.a.phase == "active"


def test_a_damaged_or_foreign_document_keeps_the_last_good_one(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(SLOW)
    publish_both(pair, ONE)
    pair.settle()
    pair.until(lambda: serves(pair.a, "nfs"))
    publish(pair.a, replace(BOTH, pair="other"))
    pair.until(lambda: bool(reasons(pair.a, "SHARES_REFUSED")))
    assert "the pair other" in reasons(pair.a, "SHARES_REFUSED")[0].evidence
    publish_bytes(pair.a, b"no shares, but long enough for a seal\n" * 10)
    pair.until(lambda: "not written by hagit" in reasons(pair.a, "SHARES_REFUSED")[0].evidence)
    assert serves(pair.a, "nfs")
    # The next daemon of this boot has only the copy in the run directory.
    pair.fault("kill", "a")
    pair.fault("restart", "a")
    pair.until(lambda: pair.a.phase == "active" and serves(pair.a, "nfs"))
    assert [word for word in words(pair.a) if word.startswith("nfs")] == ["nfs start", "nfs started"]
    publish(pair.a, ONE)
    pair.until(lambda: not reasons(pair.a, "SHARES_REFUSED"))


def test_a_restart_of_the_daemon_leaves_servers_and_addresses_as_they_are(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(SLOW)
    publish_both(pair, BOTH)
    pair.settle()
    pair.until(lambda: serves(pair.a, "nfs", "iscsi") and pair.a.serves)
    before = [word for word in words(pair.a) if not word.startswith("guard")]
    pair.fault("kill", "a")
    pair.fault("restart", "a")
    pair.until(lambda: pair.a.phase == "active" and serves(pair.a, "nfs", "iscsi"))
    assert pair.a.ask(RequestKind.REPLACE).accepted
    pair.a.until_replaced()
    pair.until(lambda: pair.a.phase == "active" and serves(pair.a, "nfs", "iscsi"))
    assert [word for word in words(pair.a) if not word.startswith("guard")] == before
    assert "addresses-down" not in [line["mark"] for line in pair.a.timeline()]


def test_a_standby_stops_what_an_earlier_life_left_over(make_pair: Callable[..., Pair]) -> None:
    pair = shared_pair(make_pair)
    directory = pair.b.run / "simulated-shares"
    directory.mkdir()
    (directory / "nfs.served").write_text('["home"]')
    pair.settle()
    pair.until(lambda: "nfs stopped" in words(pair.b))
    assert "nfs start" not in words(pair.b)


def test_each_share_with_a_problem_has_a_reason_and_holds_up_no_other(make_pair: Callable[..., Pair]) -> None:
    pair = shared_pair(make_pair, replace(BOTH, exports=(HOME, MAIL)))
    inject(pair.a, "nfs", missing=["mail"], changed=["home"])
    pair.settle()
    pair.until(lambda: pair.a.serves and serves(pair.a, "iscsi"))
    pair.until(lambda: bool(reasons(pair.a, "SHARE_PROBLEM")) and bool(reasons(pair.a, "SHARE_CHANGED")))
    assert [one.text for one in reasons(pair.a, "SHARE_PROBLEM")] == ["NFS share mail is not served"]
    assert reasons(pair.a, "SHARE_CHANGED")[0].text.startswith("NFS share home was changed by hand")
    row = servers(pair.a)["nfs"]
    assert (row.served, row.unserved, row.shares) == (("home",), ("mail",), 2)
    inject(pair.a, "nfs")
    pair.until(lambda: serves(pair.a, "nfs") and not reasons(pair.a, "SHARE_PROBLEM"), timeout_s=40)


def test_without_shares_no_worker_runs(pair: Pair) -> None:
    pair.settle()
    assert pair.a.daemon is not None
    names = [called(pid) for pid in descendants(pair.a.daemon.pid)]
    assert any(name.startswith("hagit-pools") for name in names), names
    assert not [name for name in names if name.startswith(("hagit-shares", "hagit-clients"))]
    assert servers(pair.a) == {}
    pair.a.signal(signal.SIGHUP)
    assert not (pair.a.run / "serving").exists()
