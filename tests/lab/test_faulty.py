"""A shelf whose disks fail, without machines: what a failure removes, and what remains."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.lab.pair.faulty import FaultyShelf

#: Longer than a target takes to accept a connection.
ANSWER_S = 2


@pytest.fixture(scope="module")
def shelf() -> Iterator[FaultyShelf]:
    with FaultyShelf(2) as made:
        yield made


def reached(shelf: FaultyShelf, machine: str, disk: str) -> bool:
    """Whether a target listens where this machine looks for the disk."""
    words = shelf.portals[disk].device(machine)[1]
    host, _, port = words.partition("portal=")[2].partition(",")[0].partition(":")
    done = subprocess.run(
        [*shelf.within, "timeout", str(ANSWER_S), "bash", "-c", f": 3<>/dev/tcp/{host}/{port}"],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode == 0


def test_a_disk_hangs_for_one_machine_and_for_no_other(shelf: FaultyShelf) -> None:
    shelf.hang_for("a", "disk0")
    found = {(machine, disk): reached(shelf, machine, disk) for machine in "ab" for disk in shelf.names}
    assert [place for place, there in found.items() if not there] == [("a", "disk0")]
    shelf.unhang()
    assert reached(shelf, "a", "disk0"), "what never hung can go on, too"


def test_a_shelf_without_power_keeps_what_was_written(shelf: FaultyShelf) -> None:
    with shelf.file("disk1").open("r+b") as file:
        file.seek(2 << 20)
        file.write(b"kept")
    shelf.power_off()
    assert not reached(shelf, "a", "disk1")
    shelf.power_on()
    assert reached(shelf, "a", "disk1")
    with shelf.file("disk1").open("rb") as file:
        file.seek(2 << 20)
        assert file.read(4) == b"kept"
