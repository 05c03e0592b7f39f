"""Shares from a commit to the watchdog's file, by the real commands: plan, apply, history, rollback."""

from pathlib import Path

import pytest

from reconciler.core.failover.orders.document import orders_key
from reconciler.core.shares.document import decode_shares
from reconciler.core.shares.shares import Shares
from tests.controller import Controller, Done, resource

SECRET = b"5e" * 32
EXAMPLE = Path(__file__).parents[2] / "examples" / "nfs-and-iscsi"
FILES = {path.name.replace(".", "__"): path.read_text() for path in sorted(EXAMPLE.glob("*.yaml"))}
EXPORT = resource("NfsExport", "home", "{dataset: home, clients: [{hosts: 10.0.0.0/24, access: ro}]}")


@pytest.fixture
def sharing(controller: Controller) -> Controller:
    """A node with a watchdog, and a commit with an export and a target."""
    secret = controller.root / "pair.secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    controller.work.git("rm", "-q", "-r", "--", ".")
    controller.work.commit("Share", **FILES)
    controller.write_node(watchdog=f"secret = '{secret}'\nshelf = 'simulated:/run/shelf.sock'")
    return controller


def shares(controller: Controller) -> Shares:
    read = decode_shares((controller.state / "shares.json").read_bytes(), orders_key(SECRET))
    assert isinstance(read, Shares), read
    return read


def said(done: Done) -> str:
    assert done.code == 0, done
    return " ".join(done.out.split())


def test_shares_are_planned_applied_changed_and_rolled_back(sharing: Controller) -> None:
    plan = said(sharing.hagit("plan"))
    assert "+ NFS export home tank/home for 10.0.0.0/24 rw root_squash, 10.1.0.7 ro all_squash" in plan
    assert "Warning: initiators with the CHAP secret hypervisor1 cannot log in to this controller" in plan
    sharing.apply()
    first = shares(sharing)
    assert (len(first.exports), len(first.targets), first.hostname) == (1, 1, "shelf1")
    assert "No changes" in sharing.hagit("plan").out
    sharing.work.commit("No target, fewer clients", shares__yaml=EXPORT)
    plan = said(sharing.hagit("plan"))
    assert "3 changes of the watchdog's orders" not in plan and "2 changes of the watchdog's orders" in plan
    assert "~ NFS export home clients 10.0.0.0/24 rw root_squash, 10.1.0.7 ro all_squash →" in plan
    assert "no longer served: initiators that use it get I/O errors; its data stays" in plan
    assert "shares.yaml:5" in plan and "“No target, fewer clients”" in plan, "who asks for it"
    document = sharing.hagit("plan", "-o", "json").json()
    assert document["orders"][0]["origin"]["line"] == 5 and document["orders"][0]["blame"]["author"]
    assert "origin" not in document["orders"][1], "nothing asks for a target that goes"
    file = str(sharing.root / "plan.json")
    said(sharing.hagit("plan", "--out", file))
    assert sharing.hagit("apply", file, "--yes").err.count("stale") == 0
    assert shares(sharing).targets == () and shares(sharing).iscsi is None
    assert "NFS export home; iSCSI target vm" in said(sharing.hagit("history"))
    sharing.hagit("rollback", "--yes")
    assert shares(sharing) == first


def test_without_a_watchdog_a_plan_says_that_nothing_is_served(sharing: Controller) -> None:
    sharing.write_node()
    assert "[watchdog]" in sharing.hagit("plan").out
