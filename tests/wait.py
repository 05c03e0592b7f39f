"""Wait for a condition instead of for a time."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

#: Long enough for the slowest machine. A longer wait would be in vain.
DEADLINE_S: Final = 30.0
PAUSE_S: Final = 0.01

Result = TypeVar("Result")


def until(
    condition: Callable[[], Result], why: Callable[[], object] = lambda: "", timeout_s: float = DEADLINE_S
) -> Result:
    """Wait until the condition holds and return its result. The message of a failure ends with `why`."""
    end_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (result := condition()):
        assert time.monotonic() < end_s, f"in vain for {timeout_s} s: {why()}"
        pause.wait(PAUSE_S)
    return result
