"""Before ZFS is told of a mount point, links are resolved and what this controller keeps elsewhere is looked at."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from reconciler.core.facts.fact import Fact
from reconciler.core.facts.storage import Dataset, DatasetKind, Pool, Property
from reconciler.errors import PerformError
from reconciler.simulation.fake_pools import FakePools
from reconciler.system.mountpoint_check import require_safe_mountpoint
from reconciler.system.node import FirstSource, Node, WatchdogNode
from reconciler.system.node_listen import Listen

ROOT = Path(__file__).parents[2]


def node(place: Path) -> Node:
    carp = place / "carp" / "password"
    watchdog = WatchdogNode(place / "keys" / "secret", "simulated:/nowhere", run=place / "run", carp_password=carp)
    source = FirstSource(key=place / "ssh" / "id", certificate_authorities=place / "ca" / "ca.pem")
    listen = Listen(hook_secret=place / "hook" / "secret")
    return Node(place / "node.toml", "a", place / "state", source, listen=listen, watchdog=watchdog)


def mounted(at: str, name: str = "tank/home") -> Dataset:
    return Dataset(name, options=(("mountpoint", at),))


@pytest.mark.parametrize(
    "fact",
    [
        mounted("/etc"),
        mounted("/"),
        mounted("/srv/../root"),
        Property("tank/home", "mountpoint", "/usr/lib/hagit"),
        Pool("boot"),
        Pool("tank", root=(("mountpoint", "/var/lib"),)),
        mounted("/var/lib/hagit/pool-state"),
        mounted("/var/lib/hagit/pool-state", "tank/a/hagit-state"),
        mounted("/var/lib/hagit/pool-state/x", "tank/hagit-state"),
        mounted("/var/lib/hagit", "tank/hagit-state"),
        Pool("hagit-state", root=(("mountpoint", "/var/lib/hagit/pool-state"),)),
    ],
    ids=str,
)
def test_a_place_of_the_system_reaches_zfs_from_no_kept_revision_either(fact: Fact) -> None:
    with pytest.raises(PerformError, match="nothing is mounted at"):
        require_safe_mountpoint(FakePools("tank"), fact, node(Path("/srv/hagit-test")))


@pytest.mark.parametrize("name", ["state", "state/mirror", "run", "keys", "ssh", "carp", "ca", "hook", "", "node.toml"])
def test_what_the_node_file_names_is_not_covered(name: str) -> None:
    with pytest.raises(PerformError, match="because of /srv/hagit-test"):
        require_safe_mountpoint(FakePools("tank"), mounted(f"/srv/hagit-test/{name}"), node(Path("/srv/hagit-test")))


#: In a mount namespace of its own there is a link in a place for data.
LINKED: Final = """
mount -t tmpfs none /srv && ln -s /etc /srv/share && mkdir /srv/data && exec "$0" -c '
from pathlib import Path
from reconciler.system.mountpoint_check import require_safe_mountpoint
from reconciler.core.facts.storage import Property
from reconciler.errors import PerformError
from reconciler.simulation.fake_pools import FakePools
from reconciler.system.node import Node
for at in ("/srv/data/cron.d", "/srv/share/cron.d", "/srv/share"):
    try:
        require_safe_mountpoint(FakePools("tank"), Property("tank", "mountpoint", at), Node(Path("/srv/n.toml"), "a"))
        print("goes on")
    except PerformError as error:
        print(error.what)
'
"""


def test_a_link_into_the_system_is_followed_before_it_is_mounted() -> None:
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", LINKED, sys.executable]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "goes on",
        "nothing is mounted at /etc/cron.d, because of /etc",
        "nothing is mounted at /etc, because of /etc",
    ], done.stderr


def test_what_is_inherited_is_asked_for() -> None:
    pools, here = FakePools("tank"), node(Path("/srv/hagit-test"))
    pools.perform(None, Property("tank", "mountpoint", "/srv/hagit-test"))
    with pytest.raises(PerformError, match="/srv/hagit-test/state"):
        require_safe_mountpoint(pools, Dataset("tank/state"), here)
    with pytest.raises(PerformError, match="/srv/hagit-test/run"):
        require_safe_mountpoint(pools, Property("tank/run", "mountpoint", "/srv/hagit-test/run", local=False), here)
    require_safe_mountpoint(pools, Dataset("tank/other"), here)
    pools.hung.add("tank")
    with pytest.raises(PerformError, match="its mount point is not known"):
        require_safe_mountpoint(pools, Dataset("tank/other"), here)


@pytest.mark.parametrize(
    "fact",
    [
        mounted("/srv/home"),
        mounted("/var/lib/hagit/pool-state", "tank/hagit-state"),
        Property("tank/hagit-state", "mountpoint", "/var/lib/hagit/pool-state"),
        mounted("none"),
        mounted("legacy"),
        Dataset("tank/disk", DatasetKind.VOLUME),
        Property("tank/home", "quota", "0"),
        Pool("tank", root=(("mountpoint", "none"),)),
        None,
    ],
    ids=str,
)
def test_everything_else_goes_on(fact: Fact | None) -> None:
    require_safe_mountpoint(FakePools("tank"), fact, node(Path("/srv/hagit-test")))
