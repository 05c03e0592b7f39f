"""NVMe's reservation commands, byte by byte, and a port that speaks to a namespace made of them."""

from __future__ import annotations

import errno
import struct
import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.claim import Answer, Command, Verb
from reconciler.core.failover.key import Key, Side
from reconciler.simulation import disk as model
from reconciler.system.reservation.disk import Disk
from reconciler.system.reservation.nvme import (
    Acquiring,
    NvmeCommand,
    Registering,
    acquire,
    decode_report,
    register,
    report,
)
from reconciler.system.reservation.nvmeio import pack_command
from reconciler.system.reservation.nvmeport import NvmePort
from reconciler.system.reservation.standing import Features, Malformed, Result, Standing


@pytest.mark.parametrize(
    ("command", "opcode", "cdw10", "cdw11", "send"),
    [
        (register(Registering.REGISTER, 0, 0x0102, persist=True), 0x0D, 0xC0000000, 0,
         "0000000000000000 0201000000000000"),
        (register(Registering.REPLACE, 0, 1, ignore=True, persist=True), 0x0D, 0xC000000A, 0,
         "0000000000000000 0100000000000000"),
        (register(Registering.UNREGISTER, 5, 0), 0x0D, 0x00000001, 0, "0500000000000000 0000000000000000"),
        (acquire(Acquiring.ACQUIRE, 5), 0x11, 0x0300, 0, "0500000000000000 0000000000000000"),
        (acquire(Acquiring.PREEMPT, 5, 6), 0x11, 0x0301, 0, "0500000000000000 0600000000000000"),
        (acquire(Acquiring.PREEMPT_AND_ABORT, 5, 6), 0x11, 0x0302, 0, "0500000000000000 0600000000000000"),
        (report(4096), 0x0E, 1023, 1, ""),
        (report(64, extended=False), 0x0E, 15, 0, ""),
    ],
)  # fmt: skip
def test_commands_byte_by_byte(command: NvmeCommand, opcode: int, cdw10: int, cdw11: int, send: str) -> None:
    assert (command.opcode, command.cdw10, command.cdw11) == (opcode, cdw10, cdw11)
    assert command.send == bytes.fromhex(send)


def test_the_structure_of_the_ioctl() -> None:
    packed = bytes(pack_command(acquire(Acquiring.ACQUIRE, 5), 7, 0x1122334455667788, 16, 2.5))
    assert packed[:8] == bytes.fromhex("11000000 07000000")
    assert packed[24:32] == bytes.fromhex("8877665544332211")
    assert packed[36:44] == bytes.fromhex("10000000 00030000")
    assert packed[64:68] == (2500).to_bytes(4, "little")
    assert len(packed) == 72


def status_bytes(generation: int, kind: int, hosts: list[tuple[int, bool, bytes]], persisting: bool = False) -> bytes:
    head = struct.pack("<IBHHB", generation, kind, len(hosts), 0, persisting).ljust(64, b"\0")
    return head + b"".join(struct.pack("<HB5xQ16s32x", 1, holds, key, who) for key, holds, who in hosts)


HOSTS = st.lists(st.tuples(st.integers(1, 2**64 - 1), st.booleans(), st.binary(min_size=16, max_size=16)), max_size=5)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(0, 5), (1, 1), (2, 3), (3, 5), (4, 6), (5, 7), (6, 8)]), HOSTS)
def test_a_report_is_read_as_it_was_written(
    generation: int, kinds: tuple[int, int], hosts: list[tuple[int, bool, bytes]]
) -> None:
    data = status_bytes(generation, kinds[0], hosts)
    found = decode_report(data)
    assert found.wanted == len(data)
    assert (found.standing.generation, found.standing.kind) == (generation, kinds[1])
    assert found.standing.registered == tuple(key for key, _, _ in hosts)
    holder = next((key for key, holds, _ in hosts if holds), None)
    expected = None if not kinds[0] else 0 if kinds[1] in (7, 8) else holder
    assert found.standing.holder == expected


def test_a_short_report_with_small_identifiers() -> None:
    data = struct.pack("<IBHHB14x", 1, 3, 1, 0, 1) + struct.pack("<HB5xQQ", 1, 1, 0xABCD, 77)
    found = decode_report(data, extended=False)
    assert found.standing == Standing(1, (77,), 77, 5)
    assert found.persisting
    assert found.registrations[0].who == "host cdab000000000000"


@given(st.binary(max_size=300), st.booleans())
def test_nonsense_is_malformed_and_nothing_else(data: bytes, extended: bool) -> None:
    try:
        decode_report(data, extended=extended)
    except Malformed:
        assert len(data) < 64


@dataclass
class Namespace:
    """A namespace with reservations as the base specification says; hosts are one byte long."""

    keys: dict[int, int] = field(default_factory=dict)
    holder: int | None = None
    generation: int = 0
    status: int = 0
    error: int = 0

    def answer(self, host: int, command: NvmeCommand) -> tuple[int, bytes]:
        if self.error:
            raise OSError(self.error, "refused")
        if self.status:
            return self.status, b""
        if command.opcode == 0x0E:
            hosts = [(key, one == self.holder, bytes([one]).rjust(16, b"\0")) for one, key in self.keys.items()]
            data = status_bytes(self.generation, 3 if self.holder is not None else 0, hosts, True)
            return 0, data.ljust(command.receive, b"\0")[: command.receive]
        key, other = struct.unpack("<QQ", command.send)
        action, mine = command.cdw10 & 7, self.keys.get(host)
        if command.opcode == 0x0D:
            if action == 0 and mine not in (None, other):
                return 0x83, b""
            if action in (1, 2) and (mine is None or (mine != key and not command.cdw10 & 8)):
                return 0x83, b""
            self.generation += 1
            if action == 1:
                del self.keys[host]
                self.holder = None if self.holder == host else self.holder
            else:
                self.keys[host] = other
            return 0, b""
        if mine != key:
            return 0x83, b""
        if action == 0:
            if self.holder not in (None, host):
                return 0x83, b""
            self.holder = host
            return 0, b""
        if other not in self.keys.values():
            return 0x83, b""
        takes = self.holder is not None and self.keys[self.holder] == other
        self.keys = {one: its for one, its in self.keys.items() if its != other or one == host}
        self.holder = host if takes else self.holder
        self.generation += 1
        return 0, b""


class OneHost:
    def __init__(self, namespace: Namespace, host: int) -> None:
        self.namespace, self.host = namespace, host

    def execute(self, command: NvmeCommand, *, timeout_s: float) -> tuple[int, bytes]:
        return self.namespace.answer(self.host, command)

    def close(self) -> None:
        pass


def soon() -> float:
    return time.monotonic() + 30


KEYS = {Side.A: Key(Side.A, 3), Side.B: Key(Side.B, 4)}
STEPS = st.lists(
    st.tuples(st.sampled_from(Side), st.sampled_from([Verb.REGISTER, Verb.RESERVE, Verb.PREEMPT, Verb.LOOK])),
    max_size=20,
)


@given(STEPS)
def test_a_namespace_answers_as_the_model_of_a_disk_does(steps: list[tuple[Side, Verb]]) -> None:
    namespace, like = Namespace(), model.Disk()
    disks = {
        side: Disk(lambda host=host: (NvmePort("nvme0n1", OneHost(namespace, host)),)) for host, side in enumerate(Side)
    }
    for side, verb in steps:
        command = Command(verb, 0, KEYS[side], KEYS[side.other] if verb is Verb.PREEMPT else None)
        like, expected = model.answer(like, side, command)
        assert disks[side].perform(command, soon()) == expected


def test_who_is_registered_with_another_key_changes_it() -> None:
    namespace = Namespace()
    port = NvmePort("nvme0n1", OneHost(namespace, 1))
    assert port.register(5, soon()) is Result.GOOD
    assert port.reserve(5, soon()) is Result.GOOD
    assert port.register(6, soon()) is Result.GOOD
    assert port.standing(soon()) == Standing(2, (6,), 6, 5)
    assert port.unregister(5, soon()) is Result.CONFLICT
    assert port.unregister(6, soon()) is Result.GOOD
    assert port.standing(soon()) == Standing(3, (), None, 5)
    assert port.features(soon()) == Features(True, True, True)


def test_a_report_of_many_hosts_is_asked_for_again() -> None:
    namespace = Namespace(keys={host: host + 1 for host in range(200)})
    found = NvmePort("nvme0n1", OneHost(namespace, 1)).registrations(soon())
    assert not isinstance(found, Result)
    assert len(found) == 200


@pytest.mark.parametrize(
    ("status", "result"),
    [(0x83, Result.CONFLICT), (0x01, Result.UNSUPPORTED), (0x02, Result.UNSUPPORTED), (0x18, Result.SILENT),
     (0x07, Result.SILENT), (0x6, Result.SILENT)],
)  # fmt: skip
def test_what_a_status_means(status: int, result: Result) -> None:
    assert NvmePort("nvme0n1", OneHost(Namespace(status=status), 1)).reserve(5, soon()) is result


def test_a_disk_that_cannot_be_asked() -> None:
    gone = NvmePort("nvme0n1", OneHost(Namespace(error=errno.ENODEV), 1))
    assert gone.standing(soon()) is Result.UNREACHED
    late = NvmePort("nvme0n1", OneHost(Namespace(error=errno.EIO), 1))
    assert late.preempt(5, 6, soon()) is Result.SILENT
    assert NvmePort("nvme0n1", OneHost(Namespace(), 1)).reserve(5, time.monotonic()) is Result.UNREACHED
    assert Disk(lambda: (gone,)).perform(Command(Verb.RESERVE, 0, KEYS[Side.A]), soon()).answer is Answer.SILENT
