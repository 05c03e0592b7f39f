"""The kernel's NFS server by the real adapter: clients that go on over a stop and a start, and faulty shares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from reconciler.core.shares.shares import NfsClients, NfsExport
from tests.lab.image import Image
from tests.lab.nfs_machine import ALPHA, HOME, ROOT, SHARES, STATE, WAIT_S, NfsMachine, with_exports
from tests.system.shares.conformance import CHECKS

CLIENT_LIST: Final = "reconciler.system.shares.nfs.client_list"


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


def test_it_keeps_the_port_of_a_server(server: NfsMachine) -> None:
    server.call("stop")
    assert server.servant("check").split() == [check.__name__ for check in CHECKS]


def test_a_client_goes_on_over_a_stop_and_a_start(up: NfsMachine, progress: Callable[[str], None]) -> None:
    home = up.mount(1, "/srv/home")
    up.check(f"echo before > {home}/file && sync {home}/file")
    up.check(f"(exec 9>>{home}/locked; flock 9; exec sleep infinity) > /dev/null 2>&1 & echo $! > /tmp/holder")
    other = up.mount(2, "/srv/home")
    assert up.run(f"flock -n {other}/locked true").status == 1
    view = up.call("look")
    assert view["clients_count"] == 2
    used = [(client["address"].rpartition(":")[0], client["shares"]) for client in view["clients"]]
    assert sorted(used) == [("10.77.0.2", ["home"]), ("10.77.0.3", [])]

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


def test_only_what_differs_changes_while_clients_work(up: NfsMachine) -> None:
    home = up.mount(1, "/srv/home")
    more = NfsExport("projects", "tank/projects", (NfsClients("10.77.0.3"),))
    view = up.call("start", with_exports(HOME, more, threads=6))
    assert (view["serving"], view["served"], view["problems"]) == ("up", ["home", "projects"], [])
    assert up.check("cat /proc/fs/nfsd/threads").strip() == "6"
    projects = up.mount(2, "/srv/projects")
    up.check(f"touch {home}/still && ls {projects}")
    # Without its export a client is refused, and the other one goes on.
    assert up.call("start", with_exports(HOME))["served"] == ["home"]
    assert up.run(f"ls {projects}").status != 0
    up.check(f"touch {home}/again && umount {home} {projects}")

    view = up.call("start", with_exports(HOME, ALPHA, lease_s=30, versions=("4.2",)))
    assert (view["serving"], [text for _, text in texts(view)]) == (
        "up",
        [
            "versions: the running server has 4.1 4.2, the shares say 4.2",
            "lease: the running server has 15 s, the shares say 30 s",
        ],
    )
    assert all(problem["served"] for problem in view["problems"])


def test_faulty_exports_are_told_and_hold_up_no_other(up: NfsMachine) -> None:
    up.check("ln -sfn /etc /srv/projects/link; zfs create -o mountpoint=/srv/away tank/away; zfs unmount tank/away")
    anybody = (NfsClients("*"),)
    wanted = with_exports(
        NfsExport("link", "tank/projects", anybody, path="link"),
        NfsExport("away", "tank/away", anybody),
        NfsExport("gone", "tank/gone", anybody),
        HOME,
    )
    view = up.call("start", wanted)
    assert (view["serving"], view["served"]) == ("up", ["home"])
    assert texts(view) == [
        ("link", "/srv/projects/link cannot be exported: it leads over a symbolic link"),
        ("away", "its dataset tank/away is not mounted"),
        ("gone", "its dataset tank/gone is not mounted"),
    ]
    assert texts(up.call("look", wanted)) == texts(view)
    up.check("zfs mount tank/away")
    assert ("away", "it is not served yet") in texts(up.call("look", wanted))
    up.check("zfs destroy tank/away; rm /srv/projects/link")


def test_a_directory_that_becomes_a_link_is_seen(up: NfsMachine) -> None:
    up.check("mv /srv/projects/alpha /srv/projects/beta && ln -s /etc /srv/projects/alpha")
    view = up.call("look")
    assert (view["served"], [name for name, _ in texts(view)]) == (["home"], ["alpha"])
    assert "alpha" not in up.call("start")["served"]
    assert "/srv/projects/alpha" not in up.check("cat /run/hagit/nfs/etab")
    up.check("rm /srv/projects/alpha && mv /srv/projects/beta /srv/projects/alpha")
    assert up.call("start")["problems"] == []


def test_exports_that_another_program_edits_are_seen(up: NfsMachine) -> None:
    up.check("echo '/srv *(rw,no_root_squash)' >> /run/hagit/nfs/etab")
    (problem,) = up.call("look")["problems"]
    assert (problem["changed"], problem["served"]) == (True, True)
    assert "/run/hagit/nfs/etab" in problem["text"]
    assert up.call("start")["problems"] == []
    assert "/srv *" not in up.check("cat /run/hagit/nfs/etab")


def test_programs_that_end_are_seen_and_started_again(up: NfsMachine) -> None:
    for program in ("rpc.mountd", "nfsdcld"):
        up.check(f"kill -KILL $(pidof {program})")
        view = up.call("look")
        assert view["serving"] == "partly"
        assert any(text.startswith(f"{program} has ended") for _, text in texts(view))
        view = up.call("start")
        assert (view["serving"], view["problems"]) == ("up", [])


def test_another_mountd_is_seen(up: NfsMachine) -> None:
    up.check("mkdir -p /var/lib/nfs && touch /var/lib/nfs/etab /var/lib/nfs/rmtab")
    up.check("rpc.mountd -F -N 2 -N 3 > /dev/null 2>&1 &")
    up.until("[ $(pidof rpc.mountd | wc -w) = 2 ]")
    told = ("", "another rpc.mountd than hagit's runs and answers the kernel")
    assert told in texts(up.call("look"))
    assert up.call("stop")["serving"] == "down"
    assert texts(up.call("start")) == [told]
    assert up.call("look")["serving"] == "down"
    up.check("kill $(pidof rpc.mountd)")


def test_a_client_that_is_gone_prolongs_no_failover(server: NfsMachine, progress: Callable[[str], None]) -> None:
    wanted = with_exports(HOME, lease_s=10, grace_s=40)
    server.call("stop")
    assert server.call("start", wanted)["problems"] == []
    home, gone = server.mount(1, "/srv/home"), server.mount(2, "/srv/home")
    for number, place in enumerate((home, gone)):
        words = f"(exec 9>>{place}/held{number}; flock 9; exec sleep infinity)"
        server.check(f"{words} > /dev/null 2>&1 & echo $! > /tmp/holder{number}")
    server.until(f"[ -e {home}/held1 ]")
    server.check("ip link set lan2 down")
    server.until("grep -q courtesy /proc/fs/nfsd/clients/*/info", WAIT_S)
    view = server.call("look", wanted)
    assert (view["clients_count"], dict(view["figures"])["clients_courtesy"]) == (2, 1)
    # As a look does it some minutes later.
    code = f"from {CLIENT_LIST} import clients, expire_old; print(expire_old(clients(), -180))"
    assert server.check(f"cd {ROOT} && {sys.executable} -B -c '{code}'", WAIT_S) == "1\n"
    assert server.call("look", wanted)["clients_count"] == 1
    server.call("stop")
    assert server.call("start", wanted)["serving"] == "up"
    server.until("grep -q Y /proc/fs/nfsd/v4_end_grace", timeout_s=20)
    server.check("kill $(cat /tmp/holder0 /tmp/holder1); ip link set lan2 up")
    server.until(f"umount -f -l {gone}", WAIT_S)
    server.check(f"umount {home}", WAIT_S)
    server.call("stop")


def test_without_the_state_dataset_it_does_not_start(server: NfsMachine) -> None:
    assert server.call("stop")["serving"] == "down"
    server.check("zfs unmount tank/hagit-state")
    view = server.call("start")
    assert (view["serving"], texts(view)) == (
        "down",
        [("", f"the state dataset tank/hagit-state is not mounted at {STATE}")],
    )
    assert server.check(f"ls {STATE}") == ""
    server.check("zfs mount tank/hagit-state")
    view = server.call("start", replace(SHARES, state=None))
    assert view["problems"][0]["remedy"] == "give the shares a state dataset"


def test_a_missing_package_is_named(server: NfsMachine) -> None:
    server.call("stop")
    server.check("mount --bind /dev/null /usr/sbin/nfsdcld")
    try:
        views = server.call("start"), server.call("look")
    finally:
        server.check("umount /usr/sbin/nfsdcld")
    for view in views:
        assert (view["serving"], texts(view)) == ("down", [("", "the program nfsdcld is missing")])
        assert view["problems"][0]["remedy"] == "run `apt-get install nfs-kernel-server`"


def test_a_server_that_hagit_did_not_start_is_left_alone(server: NfsMachine) -> None:
    server.call("stop")
    server.check("echo 2 > /proc/fs/nfsd/threads")
    told = ("", "another program has started the kernel's NFS server")
    assert texts(server.call("start")) == [told]
    view = server.call("stop")
    assert (view["serving"], view["problems"]) == ("down", [])
    assert server.check("cat /proc/fs/nfsd/threads").strip() == "2"
    server.check("echo 0 > /proc/fs/nfsd/threads")
    assert server.call("start")["problems"] == []
