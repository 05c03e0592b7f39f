"""The pair as a whole: boots to one active controller, and what happens to either is survived as the design says."""

from tests.watchdog.pair import Pair


def test_both_boot_to_one_active_controller(pair: Pair) -> None:
    pair.settle()
    assert pair.a.serves and not pair.b.serves
    status = pair.a.status()
    assert status is not None and status.role == "MASTER" and status.peer.phase == "standby"
