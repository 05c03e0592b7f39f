"""Run in the guest: change facts through the real adapter, and compare each result with the core's prediction.

    python -m tests.lab.guest.performer JSON      JSON: [["set" or "remove", fact], ...], facts as documents

Prints one JSON object: `surprises`, a sentence for each fact that differs from its prediction, and `observed`, the last
look. If the adapter refuses a change, ends with the refusal on standard error and status 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from reconciler.core.facts.codec import fact_document, fact_from_document, observed_document
from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.fact_kind import Document
from reconciler.core.facts.prediction import Prediction
from reconciler.errors import HagitError
from reconciler.system.netlink.live_network import LiveNetwork


def surprises(predicted: Mapping[Key, Fact], found: Mapping[Key, Fact]) -> list[str]:
    """Return the differences to the prediction. Addresses that the kernel assigns itself are not predicted."""
    keys = [key for key in sorted({*predicted, *found}) if not (key[0] == "address" and key[2].startswith("fe80:"))]
    answers = [(predicted.get(key), found.get(key)) for key in keys]
    return [f"predicted {expected}, found {real}" for expected, real in answers if expected != real]


def perform(changes: list[tuple[str, Fact]]) -> Document:
    """Make the changes one by one, and look after each."""
    network = LiveNetwork(Path("/etc/hostname"), Path("/etc/resolv.conf"))
    told: list[str] = []
    look = network.observe()
    prediction = Prediction(look)
    for action, fact in changes:
        before, after = look.facts.get(fact.key), fact if action == "set" else None
        prediction.perform(before, after)
        network.perform(before, after)
        look = network.observe()
        told += [f"{action} {fact_document(fact)}: {text}" for text in surprises(prediction.facts, look.facts)]
    network.close()
    return {"surprises": told, "observed": observed_document(look)}


def main() -> int:
    """Read the changes from the command line."""
    changes = [(action, fact_from_document(fact)) for action, fact in json.loads(sys.argv[1])]
    try:
        print(json.dumps(perform(changes)))
    except HagitError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
