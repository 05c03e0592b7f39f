"""What ARCHITECTURE.md draws is what the code says."""

import re
from pathlib import Path

from reconciler.core.failover.phase import diagram, phase_table

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "reconciler" / "ARCHITECTURE.md").read_text()


def test_phases_and_edges_are_those_of_the_core() -> None:
    assert phase_table() in PAGE
    assert f"```mermaid\n{diagram()}```" in PAGE


def test_every_module_it_names_exists() -> None:
    named = set(re.findall(r"`((?:core|agent|system|simulation|tests)/[a-z_/]+)`", PAGE))
    assert len(named) > 10
    for name in named:
        places = [ROOT / "reconciler" / name, ROOT / name]
        found = any(place.is_dir() or place.with_suffix(".py").is_file() for place in places)
        assert found or ((ROOT / "reconciler" / name).parent.is_dir() and name.endswith("/")), f"there is no {name}"
