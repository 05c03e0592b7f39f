"""The simulated shelf: its faults, its history, and that it notices what must never happen."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.ports import Written, answered
from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED
from reconciler.demo.powered_controller import PoweredController
from reconciler.errors import NodeFileError, StateError
from reconciler.system.message_stream import frame
from reconciler.system.shelf import open_shelf
from tests.system.shelf.rig import LONG_S, SimulatedRig, claim, orders


def until(true: Callable[[], bool]) -> bool:
    end_s = time.monotonic() + LONG_S
    while not true():
        if time.monotonic() > end_s:
            return False
    return True


def writes(rig: SimulatedRig) -> int:
    return int(rig.control.state()["writes_checked"])


def active(rig: SimulatedRig, side: Side, epoch: int) -> None:
    shelf, house = rig.open(side)
    claim(shelf, side, epoch)
    assert house.import_(LONG_S)
    before = writes(rig)
    assert until(lambda: writes(rig) > before), "clients are served"


def test_a_takeover_loses_no_acknowledged_write_and_breaks_nothing(simulated: SimulatedRig) -> None:
    active(simulated, Side.A, 1)
    active(simulated, Side.B, 2)
    state = simulated.control.state()
    assert state["broken"] == ""
    assert state["pools"] == ["hung", "all"], "the old import writes no more"
    simulated.lives[Side.A].end()
    assert until(lambda: simulated.control.state()["pools"] == ["none", "all"])
    texts = [(who, text) for _, who, text in simulated.control.history()]
    assert ("a", "loses power") in texts
    assert ("b", "preempt disk0 with b/2: good") in texts


def test_pools_whose_writes_the_disks_refuse_hang(simulated: SimulatedRig) -> None:
    active(simulated, Side.A, 1)
    house = simulated.open(Side.A)[1]
    claim(simulated.open(Side.B)[0], Side.B, 2)
    assert until(lambda: house.look(LONG_S).pools is Presence.HUNG)


def test_an_import_without_a_fence_is_noticed(simulated: SimulatedRig) -> None:
    assert simulated.open(Side.A)[1].import_(LONG_S)
    state = simulated.control.state()
    assert state["invariant"] == "unfenced"
    assert "no import without a fence" in state["broken"]


def test_two_writers_are_noticed(simulated: SimulatedRig) -> None:
    active(simulated, Side.A, 1)
    simulated.control.inject("shelf-forgets")
    simulated.control.heal("shelf-forgets")
    simulated.open(Side.B)[1].import_(LONG_S)
    assert simulated.control.state()["broken"]


def test_pools_end_with_the_machine_and_connections_too(simulated: SimulatedRig) -> None:
    active(simulated, Side.A, 1)
    shelf, house = simulated.open(Side.A)
    assert shelf.look(LONG_S)[0].answered
    simulated.lives[Side.A].end()
    assert until(lambda: simulated.control.state()["on"] == [False, True])
    assert house.look(LONG_S).pools is Presence.UNKNOWN
    assert shelf.look(LONG_S) == (UNANSWERED,) * 4
    simulated.lives[Side.A] = PoweredController(simulated.path, Side.A)
    assert house.look(LONG_S).pools is Presence.NONE
    assert shelf.look(LONG_S)[0].holder == Key(Side.A, 1)


def test_the_life_of_a_controller_is_a_process(simulated: SimulatedRig) -> None:
    simulated.lives[Side.A].end()
    command = [sys.executable, "-m", "reconciler.demo.powered_controller", str(simulated.path), "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        active(simulated, Side.A, 1)
        simulated.control.inject("power-loss", "a")
        assert process.wait(LONG_S) == 1, "the shelf took its power away"
    assert simulated.control.state()["pools"] == ["none", "none"]


def test_an_import_that_hangs_goes_on_in_the_kernel(simulated: SimulatedRig) -> None:
    shelf, house = simulated.open(Side.A)
    claim(shelf, Side.A, 1)
    simulated.control.inject("import-hangs", "a")
    assert not house.import_(0.1)
    house.close()
    assert house.look(LONG_S).pools is Presence.SOME
    assert not house.export(LONG_S), "not while it is being imported"
    simulated.control.heal("import-hangs", "a")
    assert house.import_(LONG_S)


def test_a_refused_import_leaves_nothing_behind(simulated: SimulatedRig) -> None:
    shelf, house = simulated.open(Side.A)
    claim(shelf, Side.A, 1)
    simulated.control.inject("import-refused", "a")
    assert not house.import_(LONG_S)
    assert house.look(LONG_S).pools is Presence.NONE
    simulated.control.heal("import-refused", "a")
    assert house.import_(LONG_S)


def test_an_export_that_hangs_and_pools_nobody_can_look_at(simulated: SimulatedRig) -> None:
    active(simulated, Side.A, 1)
    house = simulated.open(Side.A)[1]
    simulated.control.inject("export-hangs", "a")
    assert not house.export(0.1)
    assert house.look(LONG_S).pools is Presence.SOME
    simulated.control.heal("export-hangs", "a")
    assert house.export(LONG_S)
    simulated.control.inject("pools-unknown", "a")
    assert house.look(0.1).pools is Presence.UNKNOWN


def test_a_disk_that_refuses_answers_looks_only(simulated: SimulatedRig) -> None:
    shelf, _ = simulated.open(Side.A)
    simulated.control.inject("disk-refuses", "disk0")
    assert shelf.look(LONG_S)[0].answered
    assert answered(shelf, Command(Verb.REGISTER, 0, Key(Side.A, 1)), LONG_S).answer is Answer.SILENT


def test_latency_is_a_matter_of_options(make_simulated: Callable[..., SimulatedRig]) -> None:
    rig = make_simulated("--command-ms", "400", "--import-ms", "300-500", "--export-ms", "300")
    shelf, house = rig.open(Side.A)
    assert shelf.look(0.05) == (UNANSWERED,) * 4
    assert shelf.look(LONG_S)[0].answered
    assert answered(shelf, Command(Verb.REGISTER, 0, Key(Side.A, 1)), 0.05).answer is Answer.SILENT
    assert not house.import_(0.05)
    assert house.look(LONG_S).pools is Presence.SOME


def test_nobody_there_is_silence(simulated: SimulatedRig) -> None:
    shelf, house = open_shelf("simulated:/nowhere/shelf.sock", Side.A, orders(Side.A))
    assert shelf.look(0.1) == (UNANSWERED,) * 4
    assert shelf.read_records(0.1) == (None,) * 3
    assert shelf.write_record((bytes(512),) * 3, 0.1) is Written.SILENT
    assert house.look(0.1).pools is Presence.UNKNOWN
    assert not house.import_(0.1)


def test_a_second_life_of_one_controller_is_refused(simulated: SimulatedRig) -> None:
    second = subprocess.run(
        [sys.executable, "-c", SECOND_LIFE, str(simulated.path)],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert "on already" in second.stdout
    assert simulated.control.state()["on"] == [True, True]


SECOND_LIFE = """
import sys
from pathlib import Path
from reconciler.demo import powered_controller
from reconciler.core.failover.reservations.key import Side
from reconciler.errors import StateError
powered_controller.CONNECT_S_MAX = 0.1
try:
    powered_controller.PoweredController(Path(sys.argv[1]), Side.A)
except StateError as error:
    print(error)
"""


def shelf_command(simulated: SimulatedRig, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "reconciler.demo.shelf_command", str(simulated.path), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG_S, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_person_at_a_terminal_lets_things_fail(simulated: SimulatedRig) -> None:
    shelf, _ = simulated.open(Side.A)
    assert shelf_command(simulated, "inject", "path-lost", "a", "disk0")[0] == 0
    assert not shelf.look(LONG_S)[0].answered
    assert shelf_command(simulated, "heal", "path-lost", "a", "disk0")[0] == 0
    assert shelf.look(LONG_S)[0].answered
    assert "heal path-lost a disk0" in shelf_command(simulated, "history")[1]
    assert '"broken": ""' in shelf_command(simulated, "state")[1]
    assert "disk-slow <disk> <ms>: " in shelf_command(simulated, "faults")[1]
    assert shelf_command(simulated, "inject", "path-lost", "a") == (1, "path-lost takes <side> <disk>, not 1 word(s)\n")
    assert shelf_command(simulated, "dance")[0] == 1


NONSENSE = (
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x02[]",
    b"\x00\x00\x00\x02{]",
    frame({"hello": "stranger"}),
    frame({"hello": "shelf", "side": "c"}),
    frame({"hello": "shelf", "side": "a"}) + frame({"do": "perform"}),
    frame({"hello": "shelf", "side": "a"}) + frame({"do": "write", "id": 1, "disks": ["disk0"], "sectors": []}),
    frame({"hello": "shelf", "side": "a"}) + frame({"do": "look", "id": 1, "disks": 7}),
)


@pytest.mark.parametrize("data", NONSENSE, ids=range(len(NONSENSE)))
def test_whoever_speaks_nonsense_is_hung_up_on(simulated: SimulatedRig, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(LONG_S)
        stranger.connect(str(simulated.path))
        stranger.sendall(data)
        assert stranger.recv(1) == b""
    assert simulated.control.state()["broken"] == ""


def test_a_fault_of_no_shelf_is_refused(simulated: SimulatedRig) -> None:
    for name in ("cable-pull", "nonsense"):
        with pytest.raises(StateError, match="is no fault of a shelf"):
            simulated.control.inject(name)
    with pytest.raises(StateError, match="is no disk of this pair"):
        simulated.control.inject("disk-gone", "disk9")


@pytest.mark.parametrize(
    "url", ["", "scsi:", "simulated:", "simulated:relative", "/path", "disks:", "disks:by-id", "disks:/dev?area=7"]
)
def test_an_address_of_no_shelf_is_refused(url: str) -> None:
    with pytest.raises(NodeFileError, match="is no address of a shelf"):
        open_shelf(url, Side.A, orders(Side.A))
