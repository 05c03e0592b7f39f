"""Real ZFS plays the story of the pool adapter, which its programs and its fake play in other tests."""

import sys
from pathlib import Path

import pytest

from tests.lab.image import Image
from tests.lab.machine import Machine, project_shares
from tests.lab.target import Target

ROOT = Path(__file__).parents[3]
#: Some hundred programs, on an emulated processor.
LONG_S = 1_200.0


@pytest.mark.timeout(2 * LONG_S)
def test_a_pool_is_made_and_its_datasets_do_as_told(storage_image: Image, tmp_path: Path) -> None:
    with (
        Target(2, size_mib=512) as target,
        Machine(
            storage_image,
            tmp_path,
            shares=project_shares(),
            memory_mib=1024,
            name="left",
            devices=target.devices("left"),
            within=target.within,
        ) as machine,
    ):
        machine.until("[ -e /dev/disk/by-id/disk1-part1 ]")
        command = f"cd {ROOT}; PYTHONPYCACHEPREFIX=/run/pyc {sys.executable} -m tests.lab.pair.datasets_story"
        done = machine.run(command, timeout_s=LONG_S)
        assert done.out.splitlines()[-1:] == ["as told"], (done.out, done.err)
        assert "tank" in machine.check("zpool list -H -o name")
