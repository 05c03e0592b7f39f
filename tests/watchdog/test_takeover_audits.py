"""What an audit finds is published, looked for again when it may have changed, and never waited for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.key import Side
from reconciler.core.status.watchdog import ReasonStatus
from reconciler.system.findings import Finding
from reconciler.watchdog.worker_messages import plain_reply, plain_request, read_reply, read_request
from reconciler.watchdog.worker_protocol import (
    AuditReply,
    RunAudit,
    WorkerKind,
)
from tests.wait import until
from tests.watchdog.pair import DISKS, ORDERS, Head, Pair
from tests.watchdog.test_worker_pool import Driver, make_driver, now_ms, rig

__all__ = ["make_driver", "rig"]


def reason(head: Head, code: str) -> ReasonStatus | None:
    status = head.status()
    return next((one for one in status.reasons if one.code == code), None) if status is not None else None


def test_requests_and_replies_as_messages() -> None:
    for theirs in (False, True):
        assert read_request(plain_request(RunAudit(theirs))) == RunAudit(theirs)
    reply = AuditReply((Finding("CODE", "a text", "evidence", "a remedy"),))
    assert read_reply(plain_reply(reply)) == reply


def test_a_worker_audits_real_disks(make_driver: Callable[..., Driver], tmp_path: Path) -> None:
    driver = make_driver(Side.A, f"disks:{tmp_path}")
    driver.pool.set_wanted(WorkerKind.AUDITOR, now_ms(), wanted=True)
    reply = driver.ask(RunAudit(theirs=False))
    assert isinstance(reply, AuditReply)
    first = reply.findings[0]
    assert (first.code, first.evidence.count("does not exist: the disk is absent")) == ("DISK_UNREACHED", len(DISKS))


def test_what_is_found_is_published_and_looked_for_again_under_new_orders(make_pair: Callable[..., Pair]) -> None:
    """A shelf without disks is what a machine of the tests has."""
    pair = make_pair()
    head = pair.a
    head.node.write_text(head.node.read_text().replace(f"simulated:{head.shelf}", f"disks:{head.root}"))
    head.boot()
    until(lambda: reason(head, "DISK_UNREACHED"), head.logs)
    told = reason(head, "DISK_UNREACHED")
    assert told is not None and told.evidence.startswith("disk0: ") and told.remedy
    fewer: Orders = replace(ORDERS, generation=2, disks=("other0", *DISKS[1:]))
    head.publish(fewer)

    def again() -> bool:
        found = reason(head, "DISK_UNREACHED")
        return found is not None and found.evidence.startswith("other0: ")

    until(again, head.logs)
