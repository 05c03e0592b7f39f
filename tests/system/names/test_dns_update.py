"""Address records of the virtual name in a real name server: written, corrected, refused, within a bounded time."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from reconciler.core.facts.virtual_name import DnsUpdate
from reconciler.errors import PublicationError
from reconciler.system.names.dns_update import publish_records
from reconciler.system.names.tsig_keys import TsigKey
from tests.controller import Controller, controller_at
from tests.system.names.name_servers import KEY, SERVER, ZONE, NameServer

GOOD = TsigKey(KEY, "hmac-sha256", b"a secret of 32 bytes for the tests")
UPDATE = DnsUpdate(SERVER, ZONE, "shelf1.example.org", KEY, ("10.0.0.10", "10.0.1.10", "fd00::10"), 60)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with controller_at(tmp_path_factory.mktemp("names") / "a", nics=0) as made:
        yield made


@pytest.fixture(scope="module")
def bind(machine: Controller) -> Iterator[NameServer]:
    made = NameServer(machine).start()
    yield made
    made.stop()


def publish(machine: Controller, update: DnsUpdate = UPDATE, key: TsigKey = GOOD) -> bool:
    return machine.inside(lambda: publish_records(update, key))


def refusal(machine: Controller, update: DnsUpdate = UPDATE, key: TsigKey = GOOD) -> PublicationError:
    with pytest.raises(PublicationError) as refused:
        publish(machine, update, key)
    return refused.value


def test_records_are_written_once_and_corrected(machine: Controller, bind: NameServer) -> None:
    publish(machine, replace(UPDATE, addresses=()))
    assert bind.records(UPDATE.name) == []
    assert publish(machine)
    assert bind.records(UPDATE.name) == ["10.0.0.10", "10.0.1.10"]
    assert bind.records(UPDATE.name, "AAAA") == ["fd00::10"]
    assert not publish(machine), "what is right is left alone"
    bind.update("shelf1 A 10.0.0.66")
    assert publish(machine)
    assert bind.records(UPDATE.name) == ["10.0.0.10", "10.0.1.10"]
    assert publish(machine, replace(UPDATE, ttl_s=61)), "another TTL is a difference"


def test_a_family_without_addresses_has_no_records_and_other_types_stay(machine: Controller, bind: NameServer) -> None:
    publish(machine)
    assert publish(machine, replace(UPDATE, addresses=("10.0.0.10",)))
    assert bind.records(UPDATE.name, "AAAA") == []
    assert bind.records(UPDATE.name, "TXT") == ['"kept"']


def test_an_answer_that_does_not_fit_into_a_datagram_comes_by_tcp(machine: Controller, bind: NameServer) -> None:
    many = replace(UPDATE, name="many.example.org", addresses=tuple(f"fd00::{number:x}" for number in range(1, 41)))
    assert publish(machine, many)
    assert len(bind.records(many.name, "AAAA")) == 40
    assert not publish(machine, many)


@pytest.mark.parametrize(
    ("update", "key", "what", "remedy"),
    [
        (UPDATE, replace(GOOD, secret=b"b" * 32), "another secret for the key", "the same key"),
        (UPDATE, replace(GOOD, name="unknown"), "does not know the key", "the same key"),
        (UPDATE, replace(GOOD, name="other-key", secret=b"another secret of 32 bytes......"), "refuses the update",
         "update-policy { grant shelf1-update name shelf1.example.org A AAAA; };"),
        (replace(UPDATE, name="fixed.example.org"), GOOD, "refuses the update", "update-policy"),
        (replace(UPDATE, name="alias.example.org"), GOOD, "is an alias", "remove the alias"),
        (replace(UPDATE, name="shelf1.example.net", zone="example.net"), GOOD, "refuses the query", ""),
        (replace(UPDATE, zone="org", addresses=("10.0.0.9",)), GOOD, "not the primary one of the zone org", "primary"),
        (replace(UPDATE, port=54), GOOD, "not reached: Connection refused", ""),
        (replace(UPDATE, server="fd00::99"), GOOD, "not reached: Network is unreachable", ""),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_in_words(
    machine: Controller, bind: NameServer, update: DnsUpdate, key: TsigKey, what: str, remedy: str
) -> None:
    publish(machine, replace(UPDATE, addresses=("10.0.0.66",)))
    error = refusal(machine, update, key)
    assert what in error.what and remedy in error.remedy, str(error)
    assert bind.records("fixed.example.org") == ["10.0.0.77"]
    assert bind.records(UPDATE.name) == ["10.0.0.66"]


class Impostor(threading.Thread):
    """A server without the key: answers each query over UDP with what the bytes say, and refuses TCP."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(daemon=True)
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((SERVER, 55))
        self._stopped = False

    def run(self) -> None:
        while not self._stopped:
            data, sender = self._socket.recvfrom(9_000)
            self._socket.sendto(data[:2] + self._answer.replace(b"QUESTION", data[12:36]), sender)

    def end(self) -> None:
        self._stopped = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(bytes(40), (SERVER, 55))
        self.join(5)
        self._socket.close()


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"\x84\x05\x00\x01\x00\x00\x00\x00\x00\x00QUESTION", "not signed"),
        (b"\x84\x00\x00\x01\x00\x00\x00\x00\x00\x00QUESTION", "not signed"),
        (b"\x84\x00\x00\x01\x00\x05\x00\x00\x00\x00QUESTION", "damaged"),
        (b"\x84\x00" + b"\xff" * 600, "damaged"),
    ],
)
def test_an_answer_without_a_signature_counts_as_none(machine: Controller, answer: bytes, what: str) -> None:
    impostor = machine.inside(lambda: Impostor(answer))
    machine.inside(impostor.start)
    try:
        assert what in refusal(machine, replace(UPDATE, port=55)).what
    finally:
        machine.inside(impostor.end)
