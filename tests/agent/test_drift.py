"""Drift with the real kernel, the real Alertmanager and a real webhook receiver: told once, healed, told to be over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import datetime

from reconciler.system.alerts.alertmanager import DURATION_S_MIN
from reconciler.system.http.webhook_signatures import is_valid_signature
from tests.agent.receivers import Alertmanager, Hook, secret
from tests.controller import Controller, interface, resource
from tests.wait import until

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0", virtual="10.0.0.100/24")


def alerting(url: str, drift: str = "{default: warn}", manager: str = "", secret_file: str = "") -> str:
    """YAML of an Alerting that tells a webhook and perhaps an Alertmanager."""
    signed = f", secretFile: {secret_file}" if secret_file else ""
    managers = f"alertmanager: ['{manager}'], " if manager else ""
    return resource("Alerting", "alerts", f"{{{managers}webhooks: [{{url: '{url}'{signed}}}], drift: {drift}}}")


def in_force(controller: Controller, text: str) -> str:
    """Commit this, start the agent, wait until it is applied; the commit."""
    commit = controller.work.commit("Storage for everybody", net__yaml=text)
    controller.start_agent()
    controller.until_applied(commit)
    return commit


def until_received(hook: Hook, *expected: tuple[str, str]) -> None:
    until(lambda: hook.events() == list(expected), hook.events)


def test_an_address_deleted_by_hand_is_healed_and_reported(
    controller: Controller, hook: Hook, manager: Alertmanager
) -> None:
    key = secret(controller.root / "hook.secret")
    commit = in_force(controller, STORAGE + alerting(hook.url, "{default: heal}", manager.url, secret_file=str(key)))
    before_s = time.time()
    controller.ip("address del 10.0.0.1/24 dev e0")
    until_received(hook, ("firing", "address 10.0.0.1/24 of e0"), ("resolved", "address 10.0.0.1/24 of e0"))
    assert controller.addresses("e0") == {"10.0.0.1/24"}
    firing, resolved = (body["data"] for body in hook.bodies)
    assert firing["kind"] == "drift"
    assert firing["resource"] == "Interface/storage0"
    assert firing["desired"] == "10.0.0.1/24"
    assert firing["live"] == ""
    assert (firing["commit"], firing["author"], firing["origin"]) == (commit, "Ada", "net.yaml:6")
    assert before_s <= firing["since_s"] <= resolved["ended_s"] <= time.time()
    assert resolved["since_s"] == firing["since_s"]
    assert resolved["identity"] == firing["identity"]
    assert [body["type"] for body in hook.bodies] == ["io.hagit.drift.detected.v1", "io.hagit.drift.resolved.v1"]
    for body, headers in zip(hook.raw(), hook.headers, strict=True):
        assert is_valid_signature(headers["x-hagit-signature"], body, key.read_bytes().strip(), time.time())
    (seen,) = until(manager.alerts)
    assert seen["labels"]["alertname"] == "HagitDrift"
    assert seen["labels"]["subject"] == "address 10.0.0.1/24 of e0"
    assert seen["annotations"]["author"] == "Ada"
    # The drift ends within milliseconds, and its alert lasts until Alertmanager has notified.
    until(lambda: ends_s(manager) is not None and abs(ends_s(manager) - firing["since_s"] - DURATION_S_MIN) < 0.1)


def ends_s(manager: Alertmanager) -> float:
    return datetime.fromisoformat(manager.alerts()[0]["endsAt"].replace("Z", "+00:00")).timestamp()


def test_what_is_healed_is_notified_by_alertmanager(
    controller: Controller, hook: Hook, make_hook: Callable[[], Hook]
) -> None:
    """Alertmanager waits before it notifies, and notifies nobody of an alert that has ended meanwhile."""
    pager = make_hook()
    manager = Alertmanager(controller, hook=pager.url).start()
    try:
        in_force(controller, STORAGE + alerting(hook.url, "{default: heal}", manager.url))
        controller.ip("address del 10.0.0.1/24 dev e0")
        until_received(hook, ("firing", "address 10.0.0.1/24 of e0"), ("resolved", "address 10.0.0.1/24 of e0"))
        (page, *_) = until(lambda: pager.bodies)
        assert page["status"] == "firing"
        assert page["alerts"][0]["labels"]["alertname"] == "HagitDrift"
    finally:
        manager.stop()


def test_a_warning_is_sent_once_and_stays_until_an_operator_corrects_it(
    controller: Controller, hook: Hook, manager: Alertmanager
) -> None:
    in_force(controller, STORAGE + alerting(hook.url, "{default: warn}", manager.url))
    controller.ip("link set e0 mtu 1400", "address del 10.0.0.1/24 dev e0")
    until_received(hook, ("firing", "address 10.0.0.1/24 of e0"))
    status = until(lambda: controller.status() if controller.status().get("drift") else None)
    assert status["drift"][0]["mode"] == "warn"
    shown = controller.hagit("status").out
    assert "1 difference drifted from main@" in shown
    assert "10.0.0.1/24" in shown
    until(lambda: manager.names() == ["HagitDrift"], manager.names)
    assert controller.hagit("drift").code == 1
    # Looked at again and again, by events that change nothing, and yet it is one piece of news.
    controller.ip("link set e1 alias looked-at", "link set e1 alias again")
    assert controller.addresses("e0") == set()
    controller.ip("address add 10.0.0.1/24 dev e0")
    until_received(hook, ("firing", "address 10.0.0.1/24 of e0"), ("resolved", "address 10.0.0.1/24 of e0"))
    until(lambda: not controller.status()["drift"])


def test_what_is_ignored_is_silent(controller: Controller, hook: Hook) -> None:
    """By the order of events: the alert of another resource comes, and none came before it."""
    both = STORAGE + interface("data0", "10.1.0.1/24", nic="e1")
    in_force(controller, both)
    ignoring = both + alerting(hook.url, "{default: warn, resources: {Interface/storage0: ignore}}")
    controller.until_applied(controller.work.commit("Leave storage0 to me", net__yaml=ignoring))
    controller.ip("address del 10.0.0.1/24 dev e0")
    assert controller.hagit("drift").code == 0
    controller.ip("address del 10.1.0.1/24 dev e1")
    until_received(hook, ("firing", "address 10.1.0.1/24 of e1"))
    assert controller.addresses("e0") == set()
    plan = controller.hagit("plan").out
    assert "10.1.0.1/24" in plan.partition("Held")[0]
    assert not [kind for kind, _, subject in controller.alerts() if "e0" in subject]


def test_a_foreign_address_is_shown_and_left_alone(controller: Controller, hook: Hook) -> None:
    in_force(controller, STORAGE + alerting(hook.url, "{default: heal}"))
    controller.ip("address add 10.9.9.9/24 dev e0")
    until_received(hook, ("firing", "address 10.9.9.9/24 of e0"))
    assert hook.bodies[0]["data"]["kind"] == "foreign"
    remedy = hook.bodies[0]["data"]["remedy"]
    assert remedy == "hagit leaves it alone; if it is not needed: ip address delete 10.9.9.9/24 dev e0"
    assert "10.9.9.9/24" in controller.hagit("plan").out.partition("Left alone")[2]
    assert "10.9.9.9/24" in controller.addresses("e0")
    controller.ip("address del 10.9.9.9/24 dev e0")
    until_received(hook, ("firing", "address 10.9.9.9/24 of e0"), ("resolved", "address 10.9.9.9/24 of e0"))


def test_a_virtual_address_belongs_to_the_watchdog(controller: Controller, hook: Hook) -> None:
    """It comes and goes with the role. Neither causes an alert or an action, also while something else drifts."""
    in_force(controller, STORAGE + alerting(hook.url, "{default: heal}"))
    controller.machine.run("sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=1")
    controller.ip("address add 10.0.0.100/24 dev e0")
    controller.ip("address del 10.0.0.1/24 dev e0")
    until(lambda: len(hook.events()) == 2, hook.events)
    assert controller.addresses("e0") == {"10.0.0.1/24", "10.0.0.100/24"}
    assert {subject for _, subject in hook.events()} == {"address 10.0.0.1/24 of e0"}
    assert controller.hagit("drift").code == 0
    plan = controller.hagit("plan", "--detailed-exitcode")
    assert plan.code == 0, plan.out
    controller.ip("address del 10.0.0.100/24 dev e0", "address del 10.0.0.1/24 dev e0")
    until(lambda: len(hook.events()) == 4, hook.events)
    assert controller.addresses("e0") == {"10.0.0.1/24"}
    assert {subject for _, subject in hook.events()} == {"address 10.0.0.1/24 of e0"}


def test_a_storm_is_one_alert(controller: Controller, hook: Hook) -> None:
    count = 60
    addresses = ", ".join(f'"10.3.0.{number}/24"' for number in range(1, count + 1))
    many = STORAGE + "\n".join(
        [
            "---",
            "apiVersion: hagit/v1",
            "kind: Interface",
            "metadata: {name: many}",
            f"spec: {{a: {{match: {{name: e1}}, addresses: [{addresses}]}}, b: {{match: {{name: e1}}}}}}",
            "",
        ]
    )
    in_force(controller, many + alerting(hook.url, "{default: heal}"))
    assert len(controller.addresses("e1")) == count
    # Without promotion the kernel deletes all with the first; one event each all the same.
    controller.ip("address flush dev e1")
    until(lambda: len(hook.events()) == 2, hook.events)
    firing, resolved = (body["data"] for body in hook.bodies)
    assert (firing["kind"], firing["status"], resolved["status"]) == ("drift-storm", "firing", "resolved")
    assert "60" in firing["summary"]
    assert "10.3.0.1/24" in firing["summary"]
    assert len(controller.addresses("e1")) == count


def test_events_that_the_kernel_dropped_are_made_up_for(controller: Controller, hook: Hook) -> None:
    """A stopped agent's socket overflows (ENOBUFS); it looks when it runs again, and finds what the events said."""
    in_force(controller, STORAGE + alerting(hook.url, "{default: heal}"))
    agent = controller.agents[-1].process
    os.kill(agent.pid, signal.SIGSTOP)
    try:
        churn = [f"address {what} 10.8.{number // 200}.{number % 200 + 1}/32 dev e1" for number in range(8000)
                 for what in ("add", "del")]  # fmt: skip
        controller.ip(*churn, "address del 10.0.0.1/24 dev e0")
        sockets = [line.split() for line in controller.machine.run("cat", "/proc/net/netlink").splitlines()[1:]]
        assert any(int(drops) > 0 for *_, drops, _ in sockets), "nothing was dropped, so this test tells nothing"
    finally:
        os.kill(agent.pid, signal.SIGCONT)
    until_received(hook, ("firing", "address 10.0.0.1/24 of e0"), ("resolved", "address 10.0.0.1/24 of e0"))
    assert controller.addresses("e0") == {"10.0.0.1/24"}


def test_a_nic_that_goes_away_and_comes_back(controller: Controller, hook: Hook) -> None:
    in_force(controller, STORAGE + alerting(hook.url, "{default: heal}"))
    controller.ip("link set e0 name other0")
    until(lambda: len(hook.events()) == 1, hook.events)
    assert hook.bodies[0]["data"]["resource"] == "Interface/storage0"
    controller.ip("link set other0 down", "link set other0 name e0", "link set e0 up")
    until(lambda: [status for status, _ in hook.events()][-1] == "resolved", hook.events)
    until(lambda: controller.addresses("e0") == {"10.0.0.1/24"})


def test_what_is_held_says_what_to_do_about_it(controller: Controller, hook: Hook) -> None:
    """Neither healing nor another apply would help."""
    in_force(controller, interface("storage0", nic="e0", mtu=65536) + alerting(hook.url, "{default: heal}"))
    until_received(hook, ("firing", "mtu of e0"))
    assert hook.bodies[0]["data"]["remedy"] == "the driver veth of e0 takes at most 65535, not 65536: lower the mtu"
    assert "1 held" in controller.hagit("plan").out
