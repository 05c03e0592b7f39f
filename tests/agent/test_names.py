"""The virtual host name from a commit to clients: planned, written and announced by the active controller alone."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent.name_publisher import UNKNOWN_S_MAX, NamePublisher
from reconciler.core.facts.virtual_name import DnsUpdate, MulticastName, VirtualName
from reconciler.core.status.publication import LASTING_FAILURES, PublicationState
from reconciler.core.status.watchdog import AddressStatus, WatchdogStatus, watchdog_document
from reconciler.system.files import write_json
from tests.controller import Controller, interface, resource
from tests.standings import standing_of, told
from tests.system.names.name_servers import KEY, SERVER, Avahi, MulticastClient, NameServer, key_text
from tests.wait import until

HALVES = "a: {hostname: shelf-a}, b: {hostname: shelf-b}, virtualHostname: shelf1, domain: example.org"
UPDATE = f"dnsUpdate: {{server: {SERVER}, key: {KEY}, ttl: 60s}}"
CLIENTS = interface("clients", "10.0.0.11/24", nic="e0", virtual="10.0.0.10/24")
ROW = AddressStatus(address="10.0.0.10", interface="clients", wanted=True, present=True)
NAME = "shelf1.example.org"
WANTED = VirtualName(DnsUpdate(SERVER, "example.org", NAME, KEY, ("10.0.0.10",), port=1))


def pair(*more: str) -> str:
    return resource("Pair", "shelf", f"{{{', '.join((HALVES, *more))}}}") + CLIENTS


def status(phase: str = "active", **changes: Any) -> WatchdogStatus:
    return replace(standing_of(told()), phase=phase, addresses=(ROW,), **changes)


class PublishedStatus(threading.Thread):
    """Publishes a status again and again, as a daemon does, until it is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path, self._end = path, threading.Event()
        self.phase = "active"

    def run(self) -> None:
        while not self._end.wait(0.2):
            write_json(self._path, watchdog_document(status(self.phase)), sync=False)

    def close(self) -> None:
        self._end.set()
        self.join()


@pytest.fixture
def daemon(controller: Controller) -> Iterator[PublishedStatus]:
    """A node with a watchdog whose status the test sets, a TSIG key and two cables that are up."""
    run, key = controller.root / "run", controller.root / "key"
    run.mkdir()
    (controller.root / "secret").write_bytes(bytes(32))
    key.write_text(key_text())
    for file in (key, controller.root / "secret"):
        file.chmod(0o600)
    watchdog = (
        f"secret = '{controller.root / 'secret'}'\nshelf = 'simulated:/nowhere'\nrun = '{run}'\ndeadman = false\n"
    )
    controller.write_node(
        listen="port = 0", watchdog=f'{watchdog}[tsig]\n{KEY} = "{key}"\n[tsig.for]\n{KEY} = ["{SERVER}"]\n'
    )
    controller.ip("link set e0 up", "link set e1 up")
    made = PublishedStatus(run / "watchdog.json")
    made.start()
    yield made
    made.close()


def names(controller: Controller) -> dict[str, str]:
    return {one["by"]: one["state"] for one in controller.status().get("names", ())}


def test_the_active_controller_publishes_and_the_standby_does_not(
    controller: Controller, daemon: PublishedStatus
) -> None:
    server, client, avahi = NameServer(controller).start(), MulticastClient(controller), Avahi(controller).start()
    try:
        daemon.phase = "standby"
        controller.work.commit("Publish the name", pair__yaml=pair(UPDATE, "mdns: true"))
        controller.start_agent()
        until(lambda: names(controller) == {"dns": "standby", "mdns": "standby"}, controller.logs)
        assert server.records(NAME) == []
        # What the watchdog does in a takeover.
        controller.ip("address add 10.0.0.10/32 dev e0")
        daemon.phase = "active"
        until(lambda: names(controller) == {"dns": "published", "mdns": "published"}, controller.status)
        assert server.records(NAME) == ["10.0.0.10"]
        assert client.find("shelf1.local") == "10.0.0.10"
        page = controller.hagit("status").out
        assert f"name       {NAME} is 10.0.0.10 in DNS at {SERVER}" in page
        assert "name       shelf1.local is 10.0.0.10 by mdns" in page
        metric = f'hagit_name_published{{by="dns",name="{NAME}"}} 1.0'
        port = controller.status()["port"]
        read = lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read()  # noqa: E731
        assert metric.encode() in controller.inside(read)
        daemon.phase = "releasing"
        assert client.until_goodbye("shelf1.local") == "10.0.0.10"
        until(lambda: names(controller) == {"dns": "standby", "mdns": "standby"}, controller.status)
        assert server.records(NAME) == ["10.0.0.10"], "the peer has the same addresses"
        assert metric.encode() not in controller.inside(read)
        # Someone changes the record, and the controller becomes active again.
        server.update("shelf1 A 10.0.0.66")
        daemon.phase = "active"
        until(lambda: server.records(NAME) == ["10.0.0.10"], controller.status)
    finally:
        avahi.close()
        client.close()
        server.stop()


def test_a_name_that_cannot_be_published_is_an_alert_until_it_can(
    controller: Controller, daemon: PublishedStatus
) -> None:
    server = NameServer(controller).start()
    try:
        text = controller.node.read_text()
        controller.node.write_text(text.replace(f'["{SERVER}"]', '["10.0.0.9"]'))
        controller.work.commit("Publish the name", pair__yaml=pair(UPDATE))
        controller.start_agent()
        alert = controller.until_alert("name-unpublished")
        assert alert["subject"] == f"{NAME} in DNS" and "is not for the server" in alert["summary"]
        shown = controller.hagit("status").out
        assert f"{NAME} in DNS at {SERVER} cannot be published here: the TSIG key" in " ".join(shown.split())
        assert "main@" in shown and f"{NAME} cannot be published here." in shown
        # The agent reads the node file again; a change of the role brings the next try at once.
        controller.node.write_text(text)
        daemon.phase = "standby"
        controller.until_alert("name-unpublished", "resolved")
        daemon.phase = "active"
        until(lambda: server.records(NAME) == ["10.0.0.10"], controller.status)
    finally:
        server.stop()


def test_a_plan_says_what_becomes_of_the_name_and_what_is_missing(
    controller: Controller, daemon: PublishedStatus
) -> None:
    def plan() -> str:
        done = controller.hagit("plan")
        assert done.code == 0, done
        return " ".join(done.out.split())

    controller.work.commit("Publish the name", pair__yaml=pair(UPDATE))
    assert (
        f"Note: {NAME}: the active controller writes A 10.0.0.10 with a TTL of 60 s to {SERVER}, zone example.org, "
        f"signed with the key {KEY}; it replaces any other A and AAAA record of this name" in plan()
    )
    controller.apply()
    assert NAME not in plan()
    moved = UPDATE.replace(SERVER, "10.0.0.2")
    controller.work.commit("Another server, and mDNS", pair__yaml=pair(moved, "mdns: true"))
    text = plan()
    assert f"{NAME}: hagit writes this name at {SERVER} no more; its records stay there" in text
    assert "Note: shelf1.local: the active controller announces 10.0.0.10 by mDNS" in text
    assert f"Warning: this controller cannot write {NAME} to DNS:" in text
    assert f"the TSIG key {KEY} is not for the server 10.0.0.2" in text
    assert f'{KEY} = ["10.0.0.2"] to [tsig.for] of the node file' in text
    assert "[watchdog]" not in text
    controller.write_node()
    assert "Warning: the node file has no [watchdog], so this controller is never active" in plan()


class Clocked:
    """A publisher whose server does not answer: each try as the active controller fails."""

    def __init__(self, tmp_path: Path) -> None:
        self.now_s = 100.0
        self.node, self.key = tmp_path / "node.toml", tmp_path / "key"
        self.node.write_text(f'controller = "a"\n[tsig]\n{KEY} = "key"\n[tsig.for]\n{KEY} = ["{SERVER}"]\n')
        self.key.write_text(key_text())
        self.key.chmod(0o600)
        self.publisher = NamePublisher(self.node, lambda: None, lambda: self.now_s)

    def state(self) -> list[str]:
        return [str(one.state) for one in self.publisher.publications()]


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[Clocked]:
    made = Clocked(tmp_path)
    yield made
    made.publisher.close()


def test_a_short_silence_of_the_watchdog_changes_no_role(clocked: Clocked) -> None:
    clocked.publisher.follow(WANTED)
    until(lambda: clocked.state() == [PublicationState.STANDBY])
    clocked.publisher.observe(status())
    until(lambda: clocked.state() == [PublicationState.FAILING])
    (shown,) = clocked.publisher.publications()
    assert shown.failures < LASTING_FAILURES and not clocked.publisher.failures(), "one failure is no alert"
    clocked.now_s += UNKNOWN_S_MAX - 1
    clocked.publisher.observe(None)
    assert clocked.state() == [PublicationState.FAILING]
    clocked.now_s += 1
    clocked.publisher.observe(None)
    until(lambda: clocked.state() == [PublicationState.STANDBY])


def test_a_standby_tells_what_it_lacks_for_a_takeover(clocked: Clocked) -> None:
    clocked.key.unlink()
    clocked.publisher.follow(WANTED)
    until(lambda: clocked.state() == [PublicationState.FAILING])
    (shown,) = clocked.publisher.publications()
    assert "cannot read this secret" in shown.why
    clocked.node.write_text('controller = "a"\n')
    clocked.publisher.follow(replace(WANTED, mdns=MulticastName("shelf1.local", ("10.0.0.10",))))
    until(lambda: "no file for the TSIG key" in clocked.publisher.publications()[0].why)
    assert "tsig-keygen" in clocked.publisher.publications()[0].remedy


def test_without_a_name_there_are_no_threads(clocked: Clocked) -> None:
    before = threading.active_count()
    clocked.publisher.follow(VirtualName())
    clocked.publisher.observe(status())
    assert threading.active_count() == before and clocked.publisher.publications() == ()


def test_a_revision_without_the_name_ends_its_publication(clocked: Clocked) -> None:
    clocked.publisher.follow(WANTED)
    until(lambda: clocked.state() == [PublicationState.STANDBY])
    clocked.publisher.follow(VirtualName(mdns=MulticastName("shelf1.local", ("10.0.0.10",))))
    until(lambda: [one.by for one in clocked.publisher.publications()] == ["mdns"])
    clocked.publisher.follow(VirtualName())
    until(lambda: clocked.publisher.publications() == ())
