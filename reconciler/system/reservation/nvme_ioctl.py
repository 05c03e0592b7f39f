"""NVMe commands to a namespace and its controller through ioctls (linux/nvme_ioctl.h), each with a time limit.

As with `sg_io` the call waits until the disk has answered or the kernel has given up. Decides nothing.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from pathlib import Path
from typing import Final, Protocol

from reconciler.system.reservation.nvme import STATUS_MASK, NvmeCommand

NVME_IOCTL_ID: Final = 0x4E40
#: _IOWR('N', 0x43, struct nvme_passthru_cmd)
NVME_IOCTL_IO_CMD: Final = 0xC0484E43
#: _IOWR('N', 0x41, struct nvme_admin_cmd), which the kernel takes on a namespace's device, too.
NVME_IOCTL_ADMIN_CMD: Final = 0xC0484E41
#: struct nvme_passthru_cmd.
COMMAND: Final = struct.Struct("=BBHIIIQQIIIIIIIIII")


class NvmeTransport(Protocol):
    """One way to one namespace. Raises OSError as the kernel says it."""

    def execute(self, command: NvmeCommand, *, timeout_s: float) -> tuple[int, bytes]:
        """Status (type and code, 11 bits) and what was read."""
        ...

    def close(self) -> None:
        """Close the device."""
        ...


class NvmeDevice:
    """A block device of the kernel's nvme driver. Opened when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._namespace = 0

    def execute(self, command: NvmeCommand, *, timeout_s: float) -> tuple[int, bytes]:
        """See `NvmeTransport.execute`."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._namespace = fcntl.ioctl(self._descriptor, NVME_IOCTL_ID)
        data = ctypes.create_string_buffer(command.send or bytes(max(command.receive, 1)))
        length = len(command.send) or command.receive
        # A host identifier belongs to the controller: no namespace is named.
        namespace = 0 if command.admin else self._namespace
        packed = pack_command(command, namespace, ctypes.addressof(data), length, timeout_s)
        request = NVME_IOCTL_ADMIN_CMD if command.admin else NVME_IOCTL_IO_CMD
        status = fcntl.ioctl(self._descriptor, request, packed, True)
        return status & STATUS_MASK, data.raw[: command.receive]

    def close(self) -> None:
        """See `NvmeTransport.close`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def pack_command(command: NvmeCommand, namespace: int, address: int, length: int, timeout_s: float) -> bytearray:
    """The structure that the ioctl takes, 72 bytes."""
    timeout_ms = max(1, int(timeout_s * 1_000))
    return bytearray(
        COMMAND.pack(
            command.opcode, 0, 0, namespace, 0, 0, 0, address, 0, length, command.cdw10, command.cdw11, 0, 0, 0, 0,
            timeout_ms, 0,
        )
    )  # fmt: skip
