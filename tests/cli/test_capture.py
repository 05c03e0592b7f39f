"""`hagit capture`: what it writes can be planned at once and changes nothing."""

from __future__ import annotations

from reconciler.cli.application import COMMANDS
from tests.controller import Controller, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")
NAMES = [name for name, *_ in COMMANDS]


def test_capture_can_be_planned_at_once(controller: Controller) -> None:
    controller.ip(
        "link set e0 mtu 1400 up",
        "address add 10.0.0.1/24 dev e0",
        "link add br0 type bridge",
        "link set br0 up",
        "link set e1 master br0 up",
        "address add 10.1.0.1/24 dev br0",
        "route add 10.90.0.0/16 via 10.0.0.9",
    )
    (controller.root / "hostname").write_text(controller.machine.run("hostname"))
    captured = controller.hagit("capture")
    assert captured.code == 0, captured
    controller.work.commit("As it is", pair__yaml=captured.out)
    plan = controller.hagit("plan", "--detailed-exitcode")
    assert plan.code == 0, plan.out + captured.out
    controller.node.unlink()
    without = controller.hagit("capture")
    assert without.code == 1
    assert "which controller is this?" in without.err
    assert "kind: Pair" in controller.hagit("capture", "--controller", "b").out
