"""The kernel's NFS server by the real adapter: clients that go on over a stop and a start, and faulty shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.image import Image
from tests.lab.nfs_machine import WAIT_S, NfsMachine


@pytest.fixture(scope="module")
def server(
    storage_image: Image, progress: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NfsMachine]:
    with NfsMachine(storage_image, tmp_path_factory.mktemp("nfs"), progress) as machine:
        yield machine


@pytest.fixture
def up(server: NfsMachine) -> NfsMachine:
    """Return the machine with the shares served."""
    view = server.call("start")
    assert (view["serving"], view["problems"]) == ("up", []), view
    return server


def texts(view: dict[str, Any]) -> list[tuple[str, str]]:
    return [(problem["name"], problem["text"]) for problem in view["problems"]]


def test_a_start_serves_all_exports_and_tells_its_steps(server: NfsMachine, progress: Callable[[str], None]) -> None:
    assert server.call("look")["serving"] == "down"
    view = server.call("start")
    assert (view["serving"], view["served"], view["problems"]) == ("up", ["home", "alpha"], [])
    assert [name for name, _ in view["steps_ms"]] == ["preparation", "nfsdcld", "exports", "mountd", "nfsd"]
    progress(f"lab: NFS starts in {view['steps_ms']}")
    again = server.call("start")
    assert (again["serving"], again["problems"]) == ("up", [])
    progress(f"lab: a second start takes {again['steps_ms']}")


def test_a_client_goes_on_over_a_stop_and_a_start(up: NfsMachine, progress: Callable[[str], None]) -> None:
    home = up.mount(1, "/srv/home")
    up.check(f"echo before > {home}/file && sync {home}/file")
    up.check(f"(exec 9>>{home}/locked; flock 9; while :; do sleep 1; done) > /dev/null 2>&1 & echo $! > /tmp/holder")
    other = up.mount(2, "/srv/home")
    assert up.run(f"flock -n {other}/locked true").status == 1
    view = up.call("look")
    assert view["clients_count"] == 2
    assert sorted(client["address"].rpartition(":")[0] for client in view["clients"]) == ["10.77.0.2", "10.77.0.3"]

    stopped = up.call("stop")
    progress(f"lab: NFS stops in {stopped['steps_ms']}")
    assert (stopped["serving"], stopped["problems"]) == ("down", [])
    writer = up.send(f"echo after >> {home}/file && sync {home}/file && cat {home}/file", WAIT_S)
    # Nothing of the server uses a dataset: the pool can be exported at once.
    up.check("zpool export tank && zpool import -d /disks tank", WAIT_S)
    started = up.call("start")
    assert (started["serving"], started["problems"]) == ("up", [])
    assert up.result(writer, WAIT_S).out == "before\nafter\n"
    # The lock was reclaimed: the other client still cannot have it.
    assert up.run(f"flock -n {other}/locked true", WAIT_S).status == 1
    up.check("kill $(cat /tmp/holder)")
    up.until(f"flock -n {other}/locked true", WAIT_S)
    up.check(f"umount {home} {other}")
