"""The agent publishes the shares beside the orders: what a revision says, and again when the file is damaged."""

from dataclasses import replace
from pathlib import Path

from reconciler.agent.orders_file import OrdersFile
from reconciler.agent.shares_file import SharesFile
from reconciler.agent.source.content import Content, cache_content, cached_content, compile_content
from reconciler.agent.store import Store
from reconciler.core.failover.orders.document import orders_key
from reconciler.core.shares.document import decode_shares
from reconciler.core.shares.ports import ConnectedClient, ServerView, Serving
from reconciler.core.shares.shares import Protocol, Shares
from reconciler.core.status.revision import Revision
from reconciler.system.machine import boot_id
from reconciler.system.node import Node, WatchdogNode
from reconciler.system.shares.client_file import write_clients

SECRET = b"a secret of the tests, long enough for every seal"
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "nfs-and-iscsi"


def content(controller: str = "a") -> Content:
    return compile_content({path.name: path.read_bytes() for path in EXAMPLE.glob("*.yaml")}, controller)


def published(path: Path) -> Shares:
    assert path.stat().st_mode & 0o777 == 0o600
    read = decode_shares(path.read_bytes(), orders_key(SECRET))
    assert isinstance(read, Shares), read
    return read


def secret_in(path: Path, content: bytes = SECRET) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_what_a_revision_says_is_published_once_and_again_when_it_is_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    file = SharesFile(WatchdogNode(secret_in(tmp_path / "secret"), "simulated:/nowhere"), store)
    wanted = content()
    none = replace(wanted, shares=None)
    assert file.publish(none, "") is None and not file.path.exists(), "where there never was one, there is none"
    assert [change.what for change in file.changes(wanted)] == [
        "state of the servers", "NFS server", "iSCSI server", "NFS export home", "iSCSI target vm",
    ]  # fmt: skip
    assert file.publish(wanted, "") == wanted.shares == published(file.path)
    assert file.publish(wanted, "") is None and file.changes(wanted) == ()
    file.path.write_bytes(b"rubbish")
    assert file.publish(wanted, "") == published(file.path)
    assert [change.what for change in file.changes(none)] == ["NFS export home", "iSCSI target vm"]
    assert file.publish(none, "") == published(file.path) == Shares("shelf1"), "the watchdog stops serving"
    assert file.publish(none, "") is None


def test_both_controllers_have_the_same_shares() -> None:
    assert content("a").shares == content("b").shares is not None


def test_it_is_published_with_the_orders_and_put_right_though_they_are_settled(tmp_path: Path) -> None:
    watchdog = WatchdogNode(secret_in(tmp_path / "secret"), "simulated:/nowhere")
    store = Store(tmp_path / "state")
    file = OrdersFile(Node(tmp_path / "node.toml", "a"), watchdog, store)
    wanted, path = content(), store.root / "shares.json"
    assert "NFS export home" in [change.what for change in file.changes(wanted)]
    assert file.publish(wanted, "c0ffee") is not None
    assert file.publish(wanted, "c0ffee") is None and file.publish(wanted, "c0ffee") is None
    path.unlink()
    assert file.publish(wanted, "c0ffee") is None and published(path) == wanted.shares
    fewer = replace(wanted, shares=replace(wanted.shares, targets=(), iscsi=None) if wanted.shares else None)
    assert file.publish(fewer, "c0ffee") is None and published(path) == fewer.shares, "the orders are the same"
    assert file.changes(fewer) == ()


def test_the_history_says_which_shares_a_revision_changed(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    file = SharesFile(WatchdogNode(secret_in(tmp_path / "secret"), "simulated:/nowhere"), store)
    revision = Revision("main", "c0ffee" + "0" * 34)
    store.record_applied(revision, what="applied", counts={})
    wanted = content()
    file.publish(wanted, revision.commit)
    file.publish(replace(wanted, shares=None), revision.commit)
    assert [entry.get("why") for entry in store.history() if entry["what"] == "shares"] == [
        "state of the servers; NFS server; iSCSI server; NFS export home; iSCSI target vm",
        "NFS export home; iSCSI target vm",
    ]
    assert [line["count"] for line in store.decisions() if line["decision"] == "shares"] == [5, 2]


def test_the_shares_are_kept_with_the_content_of_a_commit(tmp_path: Path) -> None:
    store, wanted = Store(tmp_path / "state"), content()
    for one in (wanted, replace(wanted, shares=None)):
        cache_content(store, "c0ffee", one)
        kept = cached_content(store, "c0ffee", "a")
        assert kept is not None and kept.shares == one.shares


def test_a_plan_names_the_clients_of_a_removed_share(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    watchdog = WatchdogNode(secret_in(tmp_path / "secret"), "simulated:/nowhere", run=run)
    file, wanted = SharesFile(watchdog, Store(tmp_path / "state")), content()
    none = replace(wanted, shares=None)
    file.publish(wanted, "")
    assert file.warnings(none) == ()
    client = ConnectedClient(Protocol.NFS, "10.0.0.7", "Linux NFSv4.2 ws1", ("home",))
    view = ServerView(Serving.UP, ("home",), clients=(client,), clients_count=1)
    write_clients(run, boot_id(), {Protocol.NFS: view})
    assert file.warnings(none) == ("NFS export home is removed while clients use it: 10.0.0.7 (Linux NFSv4.2 ws1)",)
    write_clients(run, "another boot", {Protocol.NFS: view})
    assert file.warnings(none) == ()
    (run / "clients.json").write_text("rubbish")
    assert file.warnings(none) == ()


def test_a_plan_says_what_to_do_with_the_state_dataset_that_is_left(tmp_path: Path) -> None:
    watchdog = WatchdogNode(secret_in(tmp_path / "secret"), "simulated:/nowhere", chap=(("hypervisor1", EXAMPLE),))
    file, wanted = SharesFile(watchdog, Store(tmp_path / "state")), content()
    assert wanted.shares is not None
    file.publish(wanted, "")
    moved = replace(wanted, shares=replace(wanted.shares, state="fast/hagit-state"))
    assert "zfs set canmount=noauto tank/hagit-state" in file.warnings(moved)[0]
    assert not any("canmount" in warning for warning in file.warnings(replace(wanted, shares=None)))


def test_a_secret_that_this_controller_does_not_have_is_a_warning(tmp_path: Path) -> None:
    store, wanted, chap = Store(tmp_path / "state"), content(), tmp_path / "hypervisor1"
    watchdog = WatchdogNode(secret_in(tmp_path / "secret"), "simulated:/nowhere")
    (missing,) = SharesFile(watchdog, store).warnings(wanted)
    assert missing == (
        "initiators with the CHAP secret hypervisor1 cannot log in to this controller: [chap] of the node file names "
        'no file for it; add hypervisor1 = "FILE" to [chap] of the node file'
    )
    named = SharesFile(replace(watchdog, chap=(("hypervisor1", chap),)), store)
    assert "cannot read this secret" in named.warnings(wanted)[0]
    secret_in(chap, b"walnut")
    assert "shorter than 12 bytes" in named.warnings(wanted)[0]
    secret_in(chap, b"correct-horse-battery")
    assert named.warnings(wanted) == ()
    chap.chmod(0o644)
    (exposed,) = named.warnings(wanted)
    assert "others may read or change this secret" in exposed and "correct" not in exposed
