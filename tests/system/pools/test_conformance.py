"""The fake, and the adapter over programs that are made of it, do what the story says; in the lab real ZFS does."""

import subprocess
import sys
from pathlib import Path

from reconciler.simulation.fake_pools import FakePools
from tests.system.pools.conformance import unknown_pool, unmet
from tests.system.pools.programs import install

ROOT = Path(__file__).parents[3]
DEADLINE_S = 120


def with_programs(directory: Path, *argv: str) -> str:
    """What a command prints where `zpool` and `zfs` are those in a directory; nobody else sees them."""
    script = f'mount --bind {directory} /usr/local/sbin && exec "$@"'
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh", *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    return done.stdout + done.stderr


def test_the_fake() -> None:
    fake = FakePools("tank", "other")
    assert unmet(fake, "tank") == []
    assert unknown_pool(fake) == []


def test_the_adapter_over_programs(tmp_path: Path) -> None:
    install(tmp_path / "bin", "tank", "other")
    said = with_programs(tmp_path / "bin", sys.executable, "-m", "tests.system.pools.zfs_answers", "tank")
    assert said == "as told\n"


def test_programs_that_fail_make_everything_unknown(tmp_path: Path) -> None:
    keys = [("pool", "tank"), ("dataset", "tank", "tank/a")]
    install(tmp_path / "bin", "tank")
    (tmp_path / "bin" / "state.json.fail").touch()
    code = f"""
from reconciler.system.zfs.live_pools import LivePools
look = LivePools().observe({keys!r})
print(dict(look.facts), sorted(part.scope for part in look.unknown), {{part.why for part in look.unknown}})
"""
    said = with_programs(tmp_path / "bin", sys.executable, "-c", code)
    scopes = [(word, "tank") for word in ("dataset", "pool", "pool-property", "property")]
    assert said == f"{{}} {scopes} {{'zpool ended with 1'}}\n"
