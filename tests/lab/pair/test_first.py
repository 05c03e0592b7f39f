"""What must hold when the first pool of a pair is made by `hagit apply`, on whole disks that were bare."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.image import Image
from tests.lab.pair.first import FirstPair, UdevHead

pytestmark = pytest.mark.timeout(1_800)


def test_the_first_pool_of_a_pair_is_made_and_taken_over(
    storage_image: Image, progress: Callable[[str], None], tmp_path: Path
) -> None:
    with FirstPair(storage_image, tmp_path, progress) as pair:
        old, new, mark = pair.roles()
        assert isinstance(old, UdevHead)
        assert old.pools() == []
        with pair.nobody_moves():
            began_s = time.monotonic()
            done = old.hagit("apply --yes")
            assert done.status == 0, f"{done.out}{done.err}\n{pair.describe()}"
            pair.say(f"hagit apply took {time.monotonic() - began_s:.1f} s")
            assert old.pools() == ["tank"]
            pair.pass_time(5)
        assert pair.well() is old
        pair.write(old)
        old.pull_the_plug()
        pair.taken_over(new, mark)
        assert pair.verify() is new
