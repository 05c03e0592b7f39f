"""The emulated machine itself: its kernel, its commands, its cables, and that it ends when it should."""

from __future__ import annotations

import os
import platform
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.image import Image
from tests.lab.machine import CommandFailed, Machine, MachineError

ROOT = Path(__file__).parents[2]


def test_the_kernel_is_debians_own(machine: Machine, lab_image: Image) -> None:
    assert machine.check("uname -r").strip() == lab_image.release != platform.release()


def test_the_firmware_tells_the_serial_number(machine: Machine) -> None:
    assert machine.check("cat /sys/class/dmi/id/product_serial") == "LAB-0001\n"


def test_the_guest_runs_this_checkout_with_its_interpreter(machine: Machine) -> None:
    code = "import reconciler, sys; print(reconciler.__file__, sys.version_info[:3])"
    told = machine.check(f"cd {ROOT} && {sys.executable} -B -c '{code}'")
    assert told.strip() == f"{ROOT / 'reconciler' / '__init__.py'} {sys.version_info[:3]}"


def test_the_host_cannot_be_changed_from_inside(machine: Machine) -> None:
    with pytest.raises(CommandFailed, match="Read-only file system"):
        machine.check(f"touch {ROOT}/intruder")
    assert not (ROOT / "intruder").exists()


def test_a_command_tells_status_and_both_outputs(machine: Machine) -> None:
    done = machine.run("echo out; echo err >&2; exit 7")
    assert (done.status, done.out, done.err, done.late) == (7, "out\n", "err\n", False)


def test_a_command_past_its_time_is_ended(machine: Machine) -> None:
    with pytest.raises(CommandFailed, match=r"was ended after 0\.5 s"):
        machine.check("echo before; sleep 600", timeout_s=0.5)
    assert machine.run("ps -e -o args").out.count("sleep 600") == 0


def test_a_daemon_that_keeps_the_output_does_not_delay_the_answer(machine: Machine) -> None:
    assert machine.run("sleep 600 & echo $! > /tmp/daemon; echo started", timeout_s=20).out == "started\n"
    machine.check("kill $(cat /tmp/daemon)")


def test_commands_run_at_the_same_time(machine: Machine) -> None:
    machine.check("mkfifo /tmp/meeting")
    reader, writer = machine.send("cat /tmp/meeting"), machine.send("echo hello > /tmp/meeting")
    assert (machine.result(writer).status, machine.result(reader).out) == (0, "hello\n")


def test_much_output_arrives_whole(machine: Machine) -> None:
    assert machine.check("seq 200000") == "".join(f"{number}\n" for number in range(1, 200001))


def test_a_pulled_cable_takes_the_carrier(machine: Machine) -> None:
    machine.check("ip link set eth0 up")
    machine.until("grep -q 1 /sys/class/net/eth0/carrier")
    machine.cable(0, plugged=False)
    machine.until("grep -q 0 /sys/class/net/eth0/carrier")
    machine.cable(0, plugged=True)
    machine.until("grep -q 1 /sys/class/net/eth0/carrier")
    machine.check("ip link set eth0 down")


def test_the_monitor_tells_what_it_refuses(machine: Machine) -> None:
    with pytest.raises(MachineError, match="QEMU refuses set_link"):
        machine.monitor("set_link", name="nic99", up=False)


def test_a_kernel_that_panics_ends_the_machine(lab_image: Image, tmp_path: Path) -> None:
    with (
        Machine(lab_image, tmp_path, memory_mib=256) as short,
        pytest.raises(MachineError, match=r"(?s)the other side has ended.*sysrq"),
    ):
        short.run("echo c > /proc/sysrq-trigger")


PARENT = """
import sys
from pathlib import Path
from tests.lab.image import image
from tests.lab.machine import Machine

with Machine(image(), Path(sys.argv[1]), memory_mib=256) as machine:
    print(machine.pid, flush=True)
    sys.stdin.read()
"""


def test_a_machine_dies_with_the_program_that_started_it(lab_image: Image, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        machine = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert select.select([machine], [], [], 20)[0], "QEMU outlived its parent"
    finally:
        os.close(machine)
