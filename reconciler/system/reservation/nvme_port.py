"""One NVMe namespace: the commands of `nvme` in the words of `registration_state`.

A host is registered, not a path: the kernel's multipath device is one port. Each controller of the pair needs a host
identifier of its own (`nvme_host`). *Nothing is registered before the identifier of this host was read, nor while the
peer is registered with the same one*: two controllers with one identifier are one registrant, and neither can be
fenced. It is read again every second, because a reset of the drive's controller may lose it. Does not know other disks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from reconciler.core.failover.reservations.key import decode_key
from reconciler.system.reservation.nvme import (
    REPORT_BYTES_MAX,
    Acquiring,
    NvmeCommand,
    Registering,
    Report,
    StatusCode,
    acquire,
    decode_report,
    register,
    report,
)
from reconciler.system.reservation.nvme_host import HOSTID_FILE, NvmeHost, ensure_host, machine_identifier
from reconciler.system.reservation.nvme_ioctl import NvmeTransport
from reconciler.system.reservation.registration_state import (
    Features,
    Malformed,
    Registration,
    RegistrationState,
    Result,
    result_of,
)

COMMAND_S: Final = 5.0
REPORT_BYTES: Final = 4096
#: For how long a host identifier that was read is believed to be there.
HOST_S: Final = 1.0


class NvmePort:
    """See `Port`. PREEMPT AND ABORT and registrations that outlive a loss of power belong to every NVMe disk."""

    def __init__(
        self,
        name: str,
        transport: NvmeTransport,
        machine: Callable[[], bytes] = machine_identifier,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`machine`: the host identifier for a controller that has none. `notify`: what people should know, once."""
        self._name = name
        self._transport = transport
        self._machine, self._notify, self._said = machine, notify, ""
        self._host = NvmeHost()
        self._host_s: float | None = None

    @property
    def name(self) -> str:
        """See `Port.name`."""
        return self._name

    def standing(self, end_s: float) -> RegistrationState | Result:
        """See `Port.standing`."""
        # After a reset of the drive's controller the reservation commands and the writes of this host need it again.
        self._identify(end_s)
        found = self._report(end_s)
        return found if isinstance(found, Result) else found.standing

    def registrations(self, end_s: float) -> tuple[Registration, ...] | Result:
        """See `Port.registrations`."""
        found = self._report(end_s)
        return found if isinstance(found, Result) else found.registrations

    def features(self, end_s: float) -> Features:
        """See `Port.features`."""
        found = self._report(end_s)
        return Features(True, None if isinstance(found, Result) else found.persisting, True)

    def register(self, key: int, end_s: float) -> Result:
        """See `Port.register`. Who is registered already cannot register, and who is not cannot replace."""
        refused = self._alone(key, end_s)
        if refused is not None:
            return refused
        assert any(self._host.identifier), "a registration of a host without an identifier"
        result = self._do(register(Registering.REGISTER, 0, key, persist=True), end_s)
        if result is Result.CONFLICT:
            result = self._do(register(Registering.REPLACE, 0, key, ignore=True, persist=True), end_s)
        return result

    def renew(self, key: int, end_s: float) -> Result:
        """See `Port.renew`. Who is not registered with this key cannot replace it."""
        return self._do(register(Registering.REPLACE, key, key, persist=True), end_s)

    def reserve(self, key: int, end_s: float) -> Result:
        """See `Port.reserve`."""
        return self._do(acquire(Acquiring.ACQUIRE, key), end_s)

    def preempt(self, key: int, victim: int, end_s: float) -> Result:
        """See `Port.preempt`."""
        return self._do(acquire(Acquiring.PREEMPT_AND_ABORT, key, victim), end_s)

    def unregister(self, key: int, end_s: float) -> Result:
        """See `Port.unregister`."""
        return self._do(register(Registering.UNREGISTER, key, 0), end_s)

    def close(self) -> None:
        """See `Port.close`."""
        self._transport.close()

    def _alone(self, key: int, end_s: float) -> Result | None:
        """Why this host must not register; None when it has an identifier that no other controller uses."""
        self._host_s = None
        reached = self._identify(end_s)
        if reached is not Result.GOOD:
            return reached
        found = self._report(end_s)
        if isinstance(found, Result):
            return found
        ours = decode_key(key).side
        others = {decode_key(other).side for host, other in found.hosts if host == self._host.identifier} - {None, ours}
        if not others:
            return None
        self._say(
            f"both controllers have the NVMe host identifier {self._host.identifier.hex()}, so neither can be fenced:"
            f" give each a UUID of its own in /{HOSTID_FILE}, and boot it"
        )
        return Result.SILENT

    def _identify(self, end_s: float) -> Result:
        """GOOD when this host has an identifier, read not long ago."""
        now_s = time.monotonic()
        if self._host_s is not None and now_s - self._host_s < HOST_S:
            return Result.GOOD if self._host.identifier else Result.SILENT
        if now_s >= end_s:
            return Result.UNREACHED
        try:
            self._host = ensure_host(
                lambda command: self._transport.execute(command, timeout_s=COMMAND_S), self._machine()
            )
        except OSError as error:
            return result_of(error)
        self._host_s = now_s
        self._say(self._host.why)
        return Result.GOOD if self._host.identifier else Result.SILENT

    def _say(self, what: str) -> None:
        if what and what != self._said:
            self._notify(what)
        self._said = what or self._said

    def _report(self, end_s: float) -> Report | Result:
        wanted, extended = REPORT_BYTES, self._host.extended
        while True:
            answer = self._execute(report(wanted, extended=extended), end_s)
            if isinstance(answer, Result):
                return answer
            try:
                found = decode_report(answer, extended=extended)
            except Malformed:
                return Result.SILENT
            if found.wanted <= wanted:
                return found
            if found.wanted > REPORT_BYTES_MAX:
                return Result.SILENT
            wanted = found.wanted

    def _do(self, command: NvmeCommand, end_s: float) -> Result:
        answer = self._execute(command, end_s)
        return Result.GOOD if isinstance(answer, bytes) else answer

    def _execute(self, command: NvmeCommand, end_s: float) -> bytes | Result:
        if time.monotonic() >= end_s:
            return Result.UNREACHED
        try:
            status, data = self._transport.execute(command, timeout_s=COMMAND_S)
        except OSError as error:
            return result_of(error)
        match status:
            case StatusCode.GOOD:
                return data
            case StatusCode.RESERVATION_CONFLICT:
                return Result.CONFLICT
            case StatusCode.INVALID_OPCODE | StatusCode.INVALID_FIELD:
                return Result.UNSUPPORTED
            case _:
                return Result.SILENT
