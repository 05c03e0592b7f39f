"""Monitor: says that the network changed, so that somebody looks.

Events are a trigger and the look is the truth, so their content is not read, and an overflow of the socket, which
loses events, counts as one. Hostname changes count too (the sysctl kernel.hostname can be polled); the resolver's file
does not, and the kernel says nothing when the alias of a link that is down changes: somebody has to look now and then
anyhow. A plain socket, because pyroute2's belong to the thread that made them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
from pathlib import Path
from typing import Final

from reconciler.errors import ObservationError

#: RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE (linux/rtnetlink.h).
_GROUPS: Final = (1, 5, 7, 9, 11)
#: Room for a burst of some ten thousand events; root may go beyond the limit of net.core.rmem_max.
_RECEIVE_BUFFER_BYTES: Final = 8 << 20
_SO_RCVBUFFORCE: Final = 33
_HOSTNAME: Final = Path("/proc/sys/kernel/hostname")
#: Reads in one `drain`; a storm that goes on is met again by the next.
_READS_MAX: Final = 100_000


class Monitor:
    """Hears link, address and route events of the network namespace it was made in, and hostname changes.

    `fileno()` is readable when there is something to drain, and now and then when there is not. Raises
    ObservationError when it cannot listen.
    """

    def __init__(self, receive_buffer_bytes: int = _RECEIVE_BUFFER_BYTES) -> None:
        mask = 0
        for group in _GROUPS:
            mask |= 1 << (group - 1)
        try:
            flags = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            self._socket = socket.socket(socket.AF_NETLINK, flags, socket.NETLINK_ROUTE)
            self._socket.bind((0, mask))
            self._poll = select.epoll()
            self._poll.register(self._socket, select.EPOLLIN)
        except OSError as problem:
            raise ObservationError(f"cannot listen to network events: {problem.strerror}") from problem
        for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("i", receive_buffer_bytes))
                break
        self._hostname = -1
        with contextlib.suppress(OSError):
            self._hostname = os.open(_HOSTNAME, os.O_RDONLY | os.O_CLOEXEC)
            # This sysctl reports a change as priority data, once and to the first who polls, whichever UTS namespace
            # it was in: good enough to wake somebody, and the name itself says whether it concerns us.
            self._poll.register(self._hostname, select.EPOLLPRI)
        self._name = os.uname().nodename

    def fileno(self) -> int:
        """For select(2) and its kin."""
        return self._poll.fileno()

    def drain(self) -> bool:
        """Takes everything that waits. True when something changed, or may have: events can be lost, not invented."""
        name = os.uname().nodename
        changed = name != self._name
        self._name = name
        self._poll.poll(0)
        for _ in range(_READS_MAX):
            try:
                self._socket.recv(1)  # the rest of the event is thrown away with it
            except BlockingIOError:
                break
            except OSError as problem:
                if problem.errno != errno.ENOBUFS:
                    raise ObservationError(f"cannot hear network events: {problem.strerror}") from problem
            changed = True
        return changed

    def close(self) -> None:
        """Gives the descriptors back."""
        self._poll.close()
        self._socket.close()
        if self._hostname >= 0:
            os.close(self._hostname)
            self._hostname = -1
