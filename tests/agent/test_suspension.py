"""`hagit suspend`: nothing is applied or healed for a time, and watching goes on."""

from __future__ import annotations

import pytest

from reconciler.agent.store import Suspension
from tests.controller import Controller, interface, resource
from tests.wait import until

HEAL = resource("Alerting", "alerts", "{drift: {default: heal}}")
STORAGE = interface("e0", "10.0.0.1/24")


def test_a_suspended_agent_watches_and_applies_nothing(controller: Controller) -> None:
    first = controller.work.commit("Storage", net__yaml=STORAGE + HEAL)
    controller.start_agent()
    controller.until_applied(first)
    done = controller.hagit("suspend", "--for", "2h", "--reason", "new switch")
    assert done.code == 0, done
    controller.until_alert("suspended")
    second = controller.work.commit("More", net__yaml=STORAGE + interface("e1", "10.1.0.1/24") + HEAL)
    until(lambda: controller.status().get("head") == second, controller.status)
    controller.ip("address del 10.0.0.1/24 dev e0")
    controller.until_alert("drift")
    assert controller.in_force() == first
    assert controller.addresses() == set()
    assert "new switch; hagit resume ends it" in controller.hagit("status").out
    assert controller.hagit("resume").code == 0
    controller.until_applied(second)
    until(lambda: controller.addresses() == {"10.0.0.1/24", "10.1.0.1/24"}, controller.addresses)
    controller.until_alert("suspended", "resolved")
    assert "Nothing to do" in controller.hagit("resume").out
    assert controller.hagit("suspend", "--for", "9000h").code == 1


@pytest.mark.parametrize(("now_s", "left_s"), [(100.0, 60.0), (150.0, 10.0), (161.0, 0.0), (-9e9, 60.0)])
def test_a_suspension_ends_whatever_the_clock_does(now_s: float, left_s: float) -> None:
    assert Suspension(100.0, 160.0).left_s(now_s) == left_s
