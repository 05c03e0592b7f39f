"""Run in the guest: play the stories of the network adapter on this kernel and on the simulated network.

    python -m tests.lab.guest.scenarios [--walks N] NAME...

Tests on the host check that the simulated network behaves as each story says. Here the kernel must do the same at every
step. Prints the kernel's features and then, after each story, where the two differ, as one JSON object a line:
`{"features": [...]}`, `{"scenario": name, "problems": [...]}`, and for the walks `{"scenario": "walks", ...}`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial

from reconciler.errors import HagitError
from tests.system.network import conformance
from tests.system.network.scenarios import SCENARIOS
from tests.system.network.walks import random_walks


def guarded(tell: Callable[[], list[str]]) -> list[str]:
    """Return problems as sentences, exceptions included: one bad story does not hide the next."""
    try:
        return tell()
    except (HagitError, AssertionError, OSError) as problem:
        return [repr(problem)]


def main() -> int:
    """Play the stories that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--walks", type=int, default=0)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    features = conformance.features()
    print(json.dumps({"features": sorted(features)}), flush=True)
    for scenario in (scenario for scenario in SCENARIOS if scenario.name in options.names):
        problems = guarded(partial(conformance.differences, scenario.steps))
        print(json.dumps({"scenario": scenario.name, "problems": problems}), flush=True)
    if options.walks:
        problems = guarded(lambda: list(random_walks(features, options.walks)))
        print(json.dumps({"scenario": "walks", "problems": problems}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
