"""SCSI commands to a block device through SG_IO (scsi/sg.h), each with a time after which the kernel aborts it.

The call waits until the disk has answered or the kernel has given the command up: nothing can end the wait before, nor
the thread that waits. Decides nothing; what an answer means is said by `scsi_port`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

SG_IO: Final = 0x2285
DIRECTION_OUT, DIRECTION_IN = -2, -3
SENSE_BYTES: Final = 96
#: struct sg_io_hdr, padded as C pads it.
HEADER: Final = struct.Struct("@iiBBHIPPPIIiPBBBBHHiII0P")
INTERFACE: Final = ord("S")


@dataclass(frozen=True, slots=True)
class ScsiCompletion:
    """How a command ended. `transport`: 0, or what the host adapter and its driver say (DID_*, DRIVER_*)."""

    status: int
    transport: int = 0
    sense: bytes = b""
    data: bytes = b""


class ScsiTransport(Protocol):
    """One path to one disk that speaks SCSI. Raises OSError as the kernel says it."""

    def execute(self, cdb: bytes, *, send: bytes = b"", receive: int = 0, timeout_s: float) -> ScsiCompletion:
        """One command; `receive` bytes of answer at the most."""
        ...

    def close(self) -> None:
        """Close the device."""
        ...


class SgTransport:
    """A block device of the kernel's sd driver. Opened when it is first needed.

    Opened for reading only, so that udev does not take each end of use for a change of the disk; who may send commands
    that change something is asked of the process (CAP_SYS_RAWIO).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def execute(self, cdb: bytes, *, send: bytes = b"", receive: int = 0, timeout_s: float) -> ScsiCompletion:
        """See `Transport.execute`."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        length = len(send) or receive
        data = ctypes.create_string_buffer(send, len(send)) if send else ctypes.create_string_buffer(max(receive, 1))
        command, sense = ctypes.create_string_buffer(cdb, len(cdb)), ctypes.create_string_buffer(SENSE_BYTES)
        pointers = (ctypes.addressof(data), ctypes.addressof(command), ctypes.addressof(sense))
        header = bytearray(
            HEADER.pack(
                INTERFACE, DIRECTION_OUT if send else DIRECTION_IN, len(cdb), SENSE_BYTES, 0, length, *pointers,
                max(1, int(timeout_s * 1_000)), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            )
        )  # fmt: skip
        fcntl.ioctl(self._descriptor, SG_IO, header, True)
        *_, status, _, _, written, host, driver, missing, _, _ = HEADER.unpack(header)
        # DRIVER_SENSE, which older kernels set, only says that there is sense data.
        transport = host or driver & 0x07
        return ScsiCompletion(status, transport, sense.raw[:written], data.raw[: max(0, receive - max(0, missing))])

    def close(self) -> None:
        """See `Transport.close`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
