"""One NVMe namespace: the commands of `nvme` in the words of `standing`.

A host is registered, not a path: the kernel's multipath device is one port. Each controller of the pair needs a host
identifier of its own; without one a drive refuses every reservation command. Does not know other disks.
"""

from __future__ import annotations

import time
from typing import Final

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
from reconciler.system.reservation.nvmeio import NvmeTransport
from reconciler.system.reservation.standing import Features, Malformed, Registration, Result, Standing, result_of

COMMAND_S: Final = 5.0
REPORT_BYTES: Final = 4096


class NvmePort:
    """See `Port`. PREEMPT AND ABORT and registrations that outlive a loss of power belong to every NVMe disk."""

    def __init__(self, name: str, transport: NvmeTransport) -> None:
        self._name = name
        self._transport = transport

    @property
    def name(self) -> str:
        """See `Port.name`."""
        return self._name

    def standing(self, end_s: float) -> Standing | Result:
        """See `Port.standing`."""
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
        result = self._do(register(Registering.REGISTER, 0, key, persist=True), end_s)
        if result is Result.CONFLICT:
            result = self._do(register(Registering.REPLACE, 0, key, ignore=True, persist=True), end_s)
        return result

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

    def _report(self, end_s: float) -> Report | Result:
        wanted = REPORT_BYTES
        while True:
            answer = self._execute(report(wanted), end_s)
            if isinstance(answer, Result):
                return answer
            try:
                found = decode_report(answer)
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
