"""The announcement by a real avahi-daemon, heard by another machine: made, kept up, ended."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from reconciler.core.facts.virtual_name import MulticastName
from reconciler.errors import PublicationError
from reconciler.system.names.avahi import AvahiAnnouncement
from tests.controller import Controller, controller_at
from tests.system.names.name_servers import Avahi, MulticastClient
from tests.wait import until

NAME = MulticastName("shelf1.local", ("10.0.0.10", "fd00::10", "10.7.0.10"))


@dataclass(slots=True)
class Network:
    """A controller with virtual addresses on e0, one of them on a virtual MAC; a client at the cable of e0."""

    controller: Controller
    avahi: Avahi
    client: MulticastClient
    announcement: AvahiAnnouncement

    def publish(self, name: MulticastName = NAME) -> bool:
        return self.controller.inside(lambda: self.announcement.publish(name))


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Controller, Avahi, MulticastClient]]:
    with controller_at(tmp_path_factory.mktemp("mdns") / "a") as controller:
        controller.ip(
            "link set e0 up", "link set e1 up", "address add 10.0.0.11/24 dev e0", "address add 10.7.0.11/24 dev e1",
            "address add 10.0.0.10/32 dev e0", "address add 10.7.0.10/32 dev e1",
            "link add vmac link e0 type macvlan mode bridge", "link set vmac up",
            "address add fd00::10/128 dev vmac nodad",
        )  # fmt: skip
        client, avahi = MulticastClient(controller), Avahi(controller)
        try:
            yield controller, avahi.start(), client
        finally:
            client.close()
            avahi.close()


@pytest.fixture
def network(machines: tuple[Controller, Avahi, MulticastClient], monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    controller, avahi, client = machines
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", avahi.address)
    made = Network(controller, avahi, client, AvahiAnnouncement())
    yield made
    made.announcement.withdraw()


def test_each_address_is_announced_on_its_own_link_and_ends_with_a_goodbye(network: Network) -> None:
    assert network.publish()
    assert network.client.find(NAME.name) == "10.0.0.10", "not 10.7.0.10, which is on the other link"
    assert network.client.find(NAME.name, "AAAA") == "fd00::10", "the one on the virtual MAC is announced on e0"
    assert not network.publish(), "it stands"
    network.announcement.withdraw()
    assert network.client.until_goodbye(NAME.name) == "10.0.0.10"


def test_it_follows_the_addresses_that_are_here(network: Network) -> None:
    other = MulticastName("second.local", ("10.0.0.20",))
    with pytest.raises(PublicationError, match="no virtual address is on this controller yet"):
        network.publish(other)
    network.controller.ip("address add 10.0.0.20/32 dev e0")
    assert network.publish(other)
    assert network.client.find(other.name) == "10.0.0.20"
    network.controller.ip("address del 10.0.0.20/32 dev e0")
    with pytest.raises(PublicationError):
        network.publish(other)
    assert network.client.until_goodbye(other.name) == "10.0.0.20"


def test_a_restart_of_avahi_is_noticed(network: Network) -> None:
    network.publish()
    network.client.find(NAME.name)
    network.avahi.stop()
    with pytest.raises(PublicationError, match="avahi-daemon") as refused:
        network.publish()
    assert "apt-get install avahi-daemon" in refused.value.remedy
    network.avahi.start()
    assert network.publish()
    assert network.client.find(NAME.name) == "10.0.0.10"


def test_without_a_bus_the_error_says_what_to_install(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("unix:path=/nowhere/bus", "nonsense", ""):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        with pytest.raises(PublicationError, match="D-Bus is not reached"):
            network.publish()


def test_a_name_that_another_machine_has_is_a_collision(network: Network) -> None:
    with network.client.defending("shelf1.local", "10.0.0.66"):
        network.publish()

        def refused() -> bool:
            try:
                network.publish()
            except PublicationError as error:
                assert "another machine has this name" in error.what
                return True
            return False

        until(refused, network.avahi.log.read_text)
    # The other machine is gone: the next try makes it anew.
    assert network.publish()
    assert network.client.find(NAME.name) == "10.0.0.10"
