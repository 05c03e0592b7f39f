"""Events of rtnetlink(7), and the monitor that reports a change of the network, so that the agent looks again.

Events are a trigger and the look is the truth: the content of an event is not read, and an overflow, which loses some,
counts as one. The sockets are plain ones, because pyroute2's belong to the thread that made them. Hostname changes
count too (the sysctl kernel.hostname can be polled); the resolver's file does not, and the kernel reports no change of
the alias of a link that is down. So the caller also looks from time to time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from reconciler.errors import ObservationError

#: RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE (linux/rtnetlink.h).
_GROUPS: Final = (1, 5, 7, 9, 11)
#: Room for a burst of some ten thousand events.
_RECEIVE_BUFFER_BYTES: Final = 8 << 20
_HOSTNAME: Final = Path("/proc/sys/kernel/hostname")
#: Reads in one `drain`; a storm that goes on is met again by the next.
_READS_MAX: Final = 100_000
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


class Monitor:
    """Hears link, address and route events of the network namespace it was made in, and hostname changes.

    `fileno()` is readable when there is something to drain, and now and then when there is not. Raises
    ObservationError when it cannot listen.
    """

    def __init__(self, receive_buffer_bytes: int = _RECEIVE_BUFFER_BYTES) -> None:
        try:
            self._events = NetlinkEvents(_GROUPS, receive_buffer_bytes, _READS_MAX)
            self._poll = select.epoll()
            self._poll.register(self._events, select.EPOLLIN)
        except OSError as problem:
            raise ObservationError(f"cannot listen to network events: {problem.strerror}") from problem
        self._hostname = -1
        with contextlib.suppress(OSError):
            self._hostname = os.open(_HOSTNAME, os.O_RDONLY | os.O_CLOEXEC)
            # This sysctl reports a change as priority data, once and to the first who polls, whichever UTS namespace
            # it was in: good enough to wake the agent, and the name itself says whether it concerns us.
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
        try:
            return self._events.drain() or changed
        except OSError as problem:
            raise ObservationError(f"cannot hear network events: {problem.strerror}") from problem

    def close(self) -> None:
        """Gives the descriptors back."""
        self._poll.close()
        self._events.close()
        if self._hostname >= 0:
            os.close(self._hostname)
            self._hostname = -1
