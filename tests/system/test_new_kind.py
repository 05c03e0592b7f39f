"""A kind of resource with a fact and an adapter of its own needs three modules and three lines, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path


def test_a_registered_kind_is_planned_saved_made_watched_and_removed(tmp_path: Path) -> None:
    program = Path(__file__).with_name("toy_kind.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    seen = json.loads(done.stdout)
    assert seen["schema"]
    assert "Addresses of NTP servers." in seen["explain"]
    for network in ("live", "fake"):
        made, removed = seen[network]
        assert (made["verbs"], made["found"], made["drift"]) == (["create"], "10.0.0.9 10.0.0.8", [])
        assert any(line.split()[:3] == ["+", "servers", "10.0.0.9"] for line in made["shown"])
        assert (removed["verbs"], removed["found"], removed["drift"]) == (["remove"], None, [])
