"""One path to a SCSI disk: commands repeated where the disk asks for it, answers in the words of `registration_state`.

Decides what is repeated: a command that met a unit attention or a busy disk was not done (SPC-4, 5.14; SAM-5, 5.3.1).
Where the disk lacks APTPL or PREEMPT AND ABORT it goes on without, and remembers. Does not know other paths.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from reconciler.core.failover.reservations.key import EPOCH_BITS, KEY_MARK
from reconciler.system.reservation.registration_state import (
    Features,
    Malformed,
    Registration,
    RegistrationState,
    Result,
    result_of,
)
from reconciler.system.reservation.scsi import (
    ALLOCATION_MAX,
    HEADER_BYTES,
    RESERVE_OUT,
    In,
    Keys,
    Out,
    Status,
    decode_capabilities,
    decode_full_status,
    decode_keys,
    decode_reservation,
    is_supported,
    parameters,
    report_supported,
    reserve_in,
    reserve_out,
)
from reconciler.system.reservation.sense import Sense, SenseKey, decode_sense
from reconciler.system.reservation.sg_io import ScsiTransport

#: After this the kernel aborts a command. The caller keeps the deadlines: a shorter one here would make the kernel
#: abort, and then reset, a disk that is only slow.
COMMAND_S: Final = 5.0
#: One for each thing that can have happened to a disk, and more.
ATTENTIONS_MAX: Final = 16
BUSY_S: Final = 0.01
#: Room for 64 registered paths; more are asked for when there are more.
KEYS_BYTES: Final = HEADER_BYTES + 64 * 8
STANDING_TRIES: Final = 4
#: A key of ours for the claim 0, which no claim ever has.
UNUSED_KEY: Final = KEY_MARK << 48 | 1 << EPOCH_BITS

Listed = TypeVar("Listed")


@dataclass(slots=True)
class Learnt:
    """What a disk has refused, for all its paths and for as long as the process lives. None: not asked yet.

    `refusal`: the last sense data of a disk that does not do what it is asked. `tried`: how a PREEMPT AND ABORT of a
    key that no initiator has ended. It is tried once: the kernel logs each command that ends in a conflict.
    """

    persisting: bool | None = None
    aborts: bool | None = None
    tried: Result | None = None
    refusal: Sense | None = None


class ScsiPort:
    """See `Port`."""

    def __init__(self, name: str, transport: ScsiTransport, learnt: Learnt, notify: Callable[[str], None]) -> None:
        """`notify` is called with what a person should know of the disk, once."""
        self._name = name
        self._transport = transport
        self._learnt = learnt
        self._notify = notify

    @property
    def name(self) -> str:
        """See `Port.name`."""
        return self._name

    def standing(self, end_s: float) -> RegistrationState | Result:
        """See `Port.standing`. Two commands, which are repeated when something has changed between them."""
        for _ in range(STANDING_TRIES):
            keys = self._keys(end_s)
            if isinstance(keys, Result):
                return keys
            answer = self._ask(In.READ_RESERVATION, KEYS_BYTES, end_s)
            if isinstance(answer, Result):
                return answer
            try:
                reservation = decode_reservation(answer)
            except Malformed:
                return Result.SILENT
            if reservation.generation == keys.generation:
                return RegistrationState(keys.generation, keys.keys, reservation.holder, reservation.kind)
        return Result.SILENT

    def registrations(self, end_s: float) -> tuple[Registration, ...] | Result:
        """See `Port.registrations`."""
        found = self._whole(In.READ_FULL_STATUS, lambda data: decode_full_status(data)[1:], end_s)
        return found if isinstance(found, Result) else found[0]

    def features(self, end_s: float) -> Features:
        """See `Port.features`."""
        persists, persisting, aborts = None, self._learnt.persisting, self._learnt.aborts
        answer = self._ask(In.REPORT_CAPABILITIES, HEADER_BYTES, end_s)
        if isinstance(answer, bytes):
            try:
                said = decode_capabilities(answer)
                persists, persisting = said.persists, said.persisting
            except Malformed:
                pass
        if aborts is None:
            aborts = self._aborts(end_s)
        return Features(persists, persisting, aborts)

    def register(self, key: int, end_s: float) -> Result:
        """See `Port.register`."""
        return self._register(Out.REGISTER_AND_IGNORE_EXISTING_KEY, 0, key, end_s)

    def renew(self, key: int, end_s: float) -> Result:
        """See `Port.renew`. A wrong key meets RESERVATION CONFLICT (SPC-4, table 44)."""
        return self._register(Out.REGISTER, key, key, end_s)

    def _register(self, action: Out, old: int, key: int, end_s: float) -> Result:
        if self._learnt.persisting is not False:
            result = self._do(action, parameters(old, key, aptpl=True), end_s)
            if result is Result.GOOD:
                self._learnt.persisting = True
            if result is not Result.UNSUPPORTED:
                return result
        result = self._do(action, parameters(old, key), end_s)
        if result is Result.GOOD and self._learnt.persisting is None:
            self._learnt.persisting = False
            self._notify("forgets its reservation when it loses power: it knows no APTPL")
        return result

    def reserve(self, key: int, end_s: float) -> Result:
        """See `Port.reserve`."""
        return self._do(Out.RESERVE, parameters(key, 0), end_s)

    def preempt(self, key: int, victim: int, end_s: float) -> Result:
        """See `Port.preempt`."""
        if self._learnt.aborts is not False:
            result = self._do(Out.PREEMPT_AND_ABORT, parameters(key, victim), end_s)
            if result is Result.GOOD:
                self._learnt.aborts = True
            if result is not Result.UNSUPPORTED:
                return result
        result = self._do(Out.PREEMPT, parameters(key, victim), end_s)
        if result is not Result.UNSUPPORTED and self._learnt.aborts is None:
            self._learnt.aborts = False
            self._notify("knows no PREEMPT AND ABORT: plain PREEMPT is used, which aborts nothing that it has begun")
        return result

    def unregister(self, key: int, end_s: float) -> Result:
        """See `Port.unregister`."""
        return self._do(Out.REGISTER, parameters(key, 0), end_s)

    def close(self) -> None:
        """See `Port.close`."""
        self._transport.close()

    def _aborts(self, end_s: float) -> bool | None:
        """Whether the disk does PREEMPT AND ABORT. Some report it and refuse it, so it is tried with an unused key.

        A wrong key ends with RESERVATION CONFLICT before anything is done (SPC-4, 5.13.11.2).
        """
        tried = self._learnt.tried or self._do(Out.PREEMPT_AND_ABORT, parameters(UNUSED_KEY, UNUSED_KEY), end_s)
        if tried not in (Result.CONFLICT, Result.UNSUPPORTED):
            return None
        self._learnt.tried = tried
        if tried is Result.UNSUPPORTED:
            return False
        supported = self._execute(report_supported(RESERVE_OUT, Out.PREEMPT_AND_ABORT, 32), b"", 32, end_s)
        return is_supported(supported) if isinstance(supported, bytes) else None

    def _keys(self, end_s: float) -> Keys | Result:
        found = self._whole(In.READ_KEYS, lambda data: ((keys := decode_keys(data)), keys.more), end_s)
        if isinstance(found, Result):
            return found
        return Result.SILENT if found[1] else found[0]

    def _whole(
        self, action: In, decode: Callable[[bytes], tuple[Listed, int]], end_s: float
    ) -> tuple[Listed, int] | Result:
        """A list, asked for with more room until all of it fits; and how many bytes never did. `decode`: the same."""
        wanted = KEYS_BYTES
        while True:
            answer = self._ask(action, wanted, end_s)
            if isinstance(answer, Result):
                return answer
            try:
                found, more = decode(answer)
            except Malformed:
                return Result.SILENT
            if not more or wanted == ALLOCATION_MAX:
                return found, more
            wanted = min(ALLOCATION_MAX, wanted + more)

    def _ask(self, action: In, allocation: int, end_s: float) -> bytes | Result:
        return self._execute(reserve_in(action, allocation), b"", allocation, end_s)

    def _do(self, action: Out, data: bytes, end_s: float) -> Result:
        answer = self._execute(reserve_out(action), data, 0, end_s)
        return Result.GOOD if isinstance(answer, bytes) else answer

    def _execute(self, cdb: bytes, send: bytes, receive: int, end_s: float) -> bytes | Result:
        attentions = 0
        while attentions <= ATTENTIONS_MAX:
            if time.monotonic() >= end_s:
                return Result.UNREACHED
            try:
                done = self._transport.execute(cdb, send=send, receive=receive, timeout_s=COMMAND_S)
            except OSError as error:
                return result_of(error)
            if done.status == Status.RESERVATION_CONFLICT:
                return Result.CONFLICT
            if done.transport:
                return Result.SILENT
            if done.status == Status.GOOD:
                return done.data
            if done.status in (Status.BUSY, Status.TASK_SET_FULL):
                time.sleep(BUSY_S)
                continue
            sense = decode_sense(done.sense) if done.status == Status.CHECK_CONDITION else None
            if sense is None:
                return Result.SILENT
            if sense.key in (SenseKey.NO_SENSE, SenseKey.RECOVERED):
                return done.data
            if not sense.attention:
                return self._refused(sense)
            if sense.preempted:
                self._notify(f"{self._name}: {sense}")
            attentions += 1
        return Result.SILENT

    def _refused(self, sense: Sense) -> Result:
        if sense.unsupported:
            return Result.UNSUPPORTED
        if self._learnt.refusal != sense:
            self._learnt.refusal = sense
            self._notify(f"{self._name}: {sense}")
        return Result.SILENT
