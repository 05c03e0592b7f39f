"""`hagit clients`, and the shares in `hagit status`: real core states, and the list that a worker writes."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.shares.ports import ConnectedClient, ServerView, Serving
from reconciler.core.shares.shares import Protocol
from reconciler.core.status.watchdog import ServerStatus
from reconciler.system.shares.client_file import read_clients, write_clients
from tests.cli.simulated_pair import MakeOperator, PairOperator
from tests.standings import BOOT
from tests.wait import until

NFS = ServerStatus(
    protocol="nfs", serving="up", wanted=True, shares=2, served_count=1, served=("home",), unserved=("mail",),
    clients=2, start_ms=412, notes=("clients of version 4.0: 1",),
)  # fmt: skip
ISCSI = ServerStatus(protocol="iscsi", serving="down", wanted=True, shares=1, unserved=("vm",))
HOSTILE = "host\x1b[2J\nname"


def serving(operator: PairOperator) -> PairOperator:
    """The active controller has servers of shares."""
    operator.pair.daemons["a"].changes = {"servers": (NFS, ISCSI)}
    until(lambda: "shares" in operator.hagit("a", "status").out)
    return operator


def listed(run: Path, name: str = "Linux NFSv4.2 host") -> None:
    """What the worker writes."""
    clients = (
        ConnectedClient(Protocol.NFS, "10.0.0.7", name, ("home",), "version 4.2"),
        ConnectedClient(Protocol.NFS, "fd00::7", "other"),
    )
    write_clients(run, BOOT, {Protocol.NFS: ServerView(Serving.UP, clients=clients, clients_count=5)})


def test_status_says_what_each_server_serves(operator_of: MakeOperator) -> None:
    out = serving(operator_of()).hagit("a", "status").out
    for words in ("NFS up, 1 of 2 shares served, 2 clients; started in 412 ms", "not served: mail",
                  "iSCSI down, 0 of 1 share served, 0 clients", "clients of version 4.0: 1"):  # fmt: skip
        assert words in " ".join(out.split()), out


def test_clients_by_protocol(operator_of: MakeOperator) -> None:
    operator = serving(operator_of())
    assert operator.hagit("a", "clients").out == "The servers have not been looked at yet.\n"
    listed(operator.pair.daemons["a"].run, HOSTILE)
    done = operator.hagit("a", "clients")
    assert done.code == 0
    assert done.out == (
        "NFS: 5 clients, 2 of them listed\n"
        "  10.0.0.7  home  host?[2J?name  version 4.2\n"
        "  fd00::7   -  other\n"
    )  # fmt: skip
    document = operator.hagit("a", "clients", "-o", "json").json()
    assert (document["active"], document["counts"]) == (True, {"nfs": 5})
    assert document["clients"][1] == {
        "protocol": "nfs", "address": "fd00::7", "name": "other", "shares": [], "detail": "",
    }  # fmt: skip


def test_the_standby_names_the_active_controller(operator_of: MakeOperator) -> None:
    operator = operator_of()
    done = operator.hagit("b", "clients")
    assert (done.code, done.out) == (1, "")
    assert done.err == "storage-b is standby and serves no client: ask on storage-a, which is active.\n"
    assert operator.hagit("a", "clients").out.startswith("No shares are configured")


def test_a_list_of_another_boot_is_none(tmp_path: Path) -> None:
    listed(tmp_path)
    found = read_clients(tmp_path, BOOT)
    assert found is not None and found.counts == ((Protocol.NFS, 5),) and len(found.clients) == 2
    assert read_clients(tmp_path, "another") is None
