"""The pair on a shelf with the kernel's own target, in a machine of its own: what tgt lacks, and a loss of its power.

It knows PREEMPT AND ABORT, READ FULL STATUS and APTPL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.image import Image
from tests.lab.kernel_target import KernelTarget
from tests.lab.pair.emulated import EmulatedPair
from tests.lab.pair.test_scenarios import (
    test_a_frozen_controller_that_wakes_has_its_writes_refused_and_resets_itself,
    test_power_cut,
    test_switchover_under_load,
)

pytestmark = pytest.mark.timeout(1_800)
#: Scenarios of the pair that are tried on these disks as well.
__all__ = [
    "test_a_frozen_controller_that_wakes_has_its_writes_refused_and_resets_itself",
    "test_power_cut",
    "test_switchover_under_load",
]


@pytest.fixture(scope="module")
def one_pair(
    storage_image: Image, progress: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmulatedPair]:
    """In the place of the pair on the light target."""
    made = EmulatedPair(storage_image, tmp_path_factory.mktemp("pair"), progress, shelf=KernelTarget)
    try:
        made.begin()
        yield made
    finally:
        made.close()
