"""A socket that hears rtnetlink events (rtnetlink(7)): that something happened, never what.

The content of events is not read, and an overflow, which loses some, counts as one. A plain socket, because pyroute2's
belong to the thread that made them. Does not know what is looked at then.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterable
from typing import Final

_SO_RCVBUFFORCE: Final = 33


class NetlinkEvents:
    """Hears some groups (RTNLGRP_*) of the network namespace it was made in. Raises OSError when it cannot.

    `receive_buffer_bytes` is room for a burst; root may go beyond the limit of net.core.rmem_max. `reads_max` are read
    in one `drain`; a storm that goes on is met again by the next.
    """

    def __init__(self, groups: Iterable[int], receive_buffer_bytes: int, reads_max: int) -> None:
        self._reads_max = reads_max
        flags = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, flags, socket.NETLINK_ROUTE)
        try:
            for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
                with contextlib.suppress(PermissionError):
                    self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("i", receive_buffer_bytes))
                    break
            self._socket.bind((0, sum(1 << (group - 1) for group in groups)))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For select(2) and its kin."""
        return self._socket.fileno()

    def drain(self) -> bool:
        """Takes what waits. True when something happened, or may have. Raises OSError when nothing is heard again."""
        changed = False
        for _ in range(self._reads_max):
            try:
                self._socket.recv(1)  # the rest of the event is thrown away with it
            except BlockingIOError:
                break
            except OSError as problem:
                if problem.errno != errno.ENOBUFS:
                    raise
            changed = True
        return changed

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()
