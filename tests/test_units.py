"""The units: how much they leave to a process that was taken over, and that none has a mount namespace of its own."""

import re
import subprocess
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[1] / "packaging"
UNITS = sorted(PACKAGING.glob("*.service"))
#: What `systemd-analyze security` said when these were written; it counts what a unit leaves to its processes.
EXPOSURE = {"hagit-watchdog": 6.5, "hagit-agent": 6.6, "hagit-handover": 3.3, "hagit-push": 4.8}
#: Each of these gives a unit a mount namespace (systemd.exec(5)): a filesystem that is mounted in it stays in use when
#: the pool is exported, and one that the unit mounts is seen by nobody else.
NAMESPACED = re.compile(
    r"(Protect(System|Home|KernelTunables|KernelModules|KernelLogs|ControlGroups|Hostname|Proc)|Private(Tmp|Devices|"
    r"Mounts|Network|Users|IPC)|(ReadWrite|ReadOnly|Inaccessible|Exec|NoExec|Bind|BindReadOnly)Paths|"
    r"TemporaryFileSystem|RootDirectory|RootImage|MountFlags|DynamicUser|ProcSubset|MountAPIVFS|(Mount|Extension)Images)="
)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_no_unit_is_more_exposed_than_it_was(unit: Path) -> None:
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    ).stdout  # fmt: skip
    found = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= EXPOSURE[unit.stem]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_no_unit_has_mounts_of_its_own(unit: Path) -> None:
    assert [line for line in unit.read_text().splitlines() if NAMESPACED.match(line)] == []
