"""NVMe's reservation commands, byte by byte, and a port that speaks to a namespace made of them."""

from __future__ import annotations

import errno
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.key import Key, Side, encode_key
from reconciler.simulation import disk as model
from reconciler.system.reservation.multipath_disk import MultipathDisk
from reconciler.system.reservation.nvme import (
    Acquiring,
    NvmeCommand,
    Registering,
    acquire,
    decode_report,
    register,
    report,
)
from reconciler.system.reservation.nvme_host import machine_identifier
from reconciler.system.reservation.nvme_ioctl import pack_command
from reconciler.system.reservation.nvme_port import NvmePort
from reconciler.system.reservation.registration_state import Features, Malformed, RegistrationState, Result


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
    once = [
        one
        for at, one in enumerate(hosts)
        if not any(one[2]) or (one[0], one[2]) not in [(key, who) for key, _, who in hosts[:at]]
    ]
    assert found.standing.registered == tuple(key for key, _, _ in once)
    holder = next((key for key, holds, _ in hosts if holds), None)
    expected = None if not kinds[0] else 0 if kinds[1] in (7, 8) else holder
    assert found.standing.holder == expected


def test_a_short_report_with_small_identifiers() -> None:
    data = struct.pack("<IBHHB14x", 1, 3, 1, 0, 1) + struct.pack("<HB5xQQ", 1, 1, 0xABCD, 77)
    found = decode_report(data, extended=False)
    assert found.standing == RegistrationState(1, (77,), 77, 5)
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
        """`host`: what its controller has for an identifier; 0 is none, and every command that needs one is refused."""
        if self.error:
            raise OSError(self.error, "refused")
        if self.status:
            return self.status, b""
        if command.opcode != 0x0E and not host:
            return 0x18, b""
        if command.opcode == 0x0E:
            hosts = [(key, one == self.holder, bytes([one]).rjust(16, b"\0")) for one, key in self.keys.items()]
            kind = 3 if self.holder is not None else 0
            if not command.cdw11 & 1:
                data = struct.pack("<IBHHB14x", self.generation, kind, len(hosts), 0, True)
                data += b"".join(struct.pack("<HB5x8sQ", 1, holds, who[-8:], key) for key, holds, who in hosts)
                return 0, data.ljust(command.receive, b"\0")[: command.receive]
            data = status_bytes(self.generation, kind, hosts, True)
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
    """A controller with a host identifier of 128 or 64 bits. `sets`: whether that can be set; a reset loses it."""

    def __init__(
        self, namespace: Namespace, host: int, length: int = 16, sets: bool = True, keeps: bool = True
    ) -> None:
        self.namespace, self.host, self.length, self.sets, self.keeps = namespace, host, length, sets, keeps
        self.log: list[int] = []

    def execute(self, command: NvmeCommand, *, timeout_s: float) -> tuple[int, bytes]:
        self.log.append(command.opcode)
        if not command.admin:
            return self.namespace.answer(self.host, command)
        assert command.cdw10 == 0x81
        if self.namespace.error:
            raise OSError(self.namespace.error, "refused")
        if (command.cdw11 & 1) != (self.length == 16):
            return 0x02, b""
        if command.opcode == 0x0A:
            return 0, self.host.to_bytes(self.length, "big")
        if not self.sets:
            return 0x0C, b""
        self.host = int.from_bytes(command.send, "big") % 256 if self.keeps else 0
        return 0, b""

    def reset(self) -> None:
        self.host = 0

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
        side: MultipathDisk(lambda host=host: (NvmePort("nvme0n1", OneHost(namespace, host)),))
        for host, side in enumerate(Side, 1)
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
    assert port.standing(soon()) == RegistrationState(2, (6,), 6, 5)
    assert port.unregister(5, soon()) is Result.CONFLICT
    assert port.unregister(6, soon()) is Result.GOOD
    assert port.standing(soon()) == RegistrationState(3, (), None, 5)
    assert port.features(soon()) == Features(True, True, True)


def test_a_report_of_many_hosts_is_asked_for_again() -> None:
    namespace = Namespace(keys={host: host + 1 for host in range(1, 201)})
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
    assert (
        MultipathDisk(lambda: (gone,)).perform(Command(Verb.RESERVE, 0, KEYS[Side.A]), soon()).answer is Answer.SILENT
    )


OURS = bytes([7]).rjust(16, b"\0")


def port_of(controller: OneHost, told: list[str] | None = None, ours: bytes = OURS) -> NvmePort:
    return NvmePort("nvme0n1", controller, lambda: ours, (told if told is not None else []).append)


def test_a_host_without_an_identifier_gets_that_of_its_machine_before_it_registers() -> None:
    namespace, controller = Namespace(), OneHost(Namespace(), 0)
    controller.namespace = namespace
    assert port_of(controller).register(5, soon()) is Result.GOOD
    assert controller.host == 7
    assert namespace.keys == {7: 5}
    assert controller.log.index(0x0A) < controller.log.index(0x09) < controller.log.index(0x0D)


def test_an_identifier_that_is_there_is_left_alone() -> None:
    controller = OneHost(Namespace(), 3)
    assert port_of(controller).register(5, soon()) is Result.GOOD
    assert 0x09 not in controller.log


@pytest.mark.parametrize("ours", [b"", OURS])
def test_without_an_identifier_nothing_is_registered_and_it_is_told_once(ours: bytes) -> None:
    told: list[str] = []
    controller = OneHost(Namespace(), 0, sets=False)
    port = port_of(controller, told, ours)
    for _ in range(2):
        assert port.register(5, soon()) is Result.SILENT
    assert 0x0D not in controller.log
    assert len(told) == 1
    assert "host identifier" in told[0]


def test_an_identifier_that_is_not_kept_is_none() -> None:
    told: list[str] = []
    assert port_of(OneHost(Namespace(), 0, keeps=False), told).register(5, soon()) is Result.SILENT
    assert told == ["the controller does not keep the host identifier that it was given"]


def test_after_a_reset_of_its_controller_a_host_has_its_identifier_again() -> None:
    controller = OneHost(Namespace(), 0)
    port = port_of(controller)
    assert port.register(5, soon()) is Result.GOOD
    assert port.reserve(5, soon()) is Result.GOOD
    controller.reset()
    assert port.register(6, soon()) is Result.GOOD
    assert controller.namespace.keys == {7: 6}
    controller.reset()
    # The look of another process, as that of the arm that proves the reservation.
    assert port_of(controller).standing(soon()) == RegistrationState(2, (6,), 6, 5)
    assert controller.host == 7


def test_two_controllers_with_one_identifier_are_refused() -> None:
    namespace, told = Namespace(), []
    ours, theirs = (port_of(OneHost(namespace, 9), told) for _ in Side)
    assert ours.register(encode_key(KEYS[Side.A]), soon()) is Result.GOOD
    for _ in range(2):
        assert theirs.register(encode_key(KEYS[Side.B]), soon()) is Result.SILENT
    assert namespace.keys == {9: encode_key(KEYS[Side.A])}
    assert len(told) == 1
    assert told[0].startswith("both controllers have the NVMe host identifier 0000")
    assert ours.register(encode_key(Key(Side.A, 9)), soon()) is Result.GOOD, "its own older key is no other controller"
    disk = MultipathDisk(lambda: (theirs,))
    assert disk.perform(Command(Verb.REGISTER, 0, KEYS[Side.B]), soon()).answer is Answer.SILENT


def test_a_controller_with_short_identifiers() -> None:
    controller = OneHost(Namespace(), 0, length=8)
    port = port_of(controller, ours=bytes(7) + b"\7" + bytes(8))
    assert port.register(5, soon()) is Result.GOOD
    assert controller.host == 7
    assert port.standing(soon()) == RegistrationState(1, (5,), None, 5)
    assert port_of(OneHost(controller.namespace, 7, length=8)).register(encode_key(KEYS[Side.A]), soon()) is Result.GOOD


def test_a_host_with_several_controllers_is_counted_once() -> None:
    who, other = bytes([1]).rjust(16, b"\0"), bytes([2]).rjust(16, b"\0")
    found = decode_report(status_bytes(4, 3, [(5, True, who), (5, False, who), (5, False, other), (6, False, other)]))
    assert found.standing == RegistrationState(4, (5, 5, 6), 5, 5)
    assert len(found.registrations) == 4


def test_the_identifier_of_a_machine_is_that_of_no_other(tmp_path: Path) -> None:
    def machine(name: str, **files: str) -> bytes:
        for path, text in files.items():
            place = tmp_path / name / path.replace("__", "/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return machine_identifier(tmp_path / name)

    board, system = "sys__class__dmi__id__product_uuid", "etc__machine-id"
    one, two = "d1f1b9e0-0000-4000-8000-000000000001", "d1f1b9e0-0000-4000-8000-000000000002"
    found = [
        machine("a", **{board: f"{one}\n", system: one.replace("-", "")}),
        machine("b", **{board: f"{two}\n", system: one.replace("-", "")}),
        machine("c", **{board: "00000000-0000-0000-0000-000000000000\n", system: two.replace("-", "") + "\n"}),
        machine("d", **{board: "To be filled by O.E.M.\n", system: "cafe" * 8}),
    ]
    assert len(set(found)) == 4, "a copied system disk does not make one machine of two"
    assert all(len(identifier) == 16 and any(identifier) for identifier in found)
    assert machine("a", etc__nvme__hostid=f"{two}\n") == UUID(two).bytes
    assert machine("nothing") == b""
