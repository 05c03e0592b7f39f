"""One request or one dump at a time over one netlink socket, bounded in time and size.

Decides how long to wait, when a dump has to be read again, and what a reply belongs to. Does not know what the
messages mean. A channel belongs to the network namespace it was opened in and to one thread at a time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from typing import Final

from reconciler.system.netlink import wire

#: No single wait for the kernel is longer, and no dump takes longer in all.
REPLY_WAIT_S: Final = 5
DUMP_WAIT_S: Final = 20
#: How often a dump is read again when the kernel says that it changed meanwhile.
DUMP_TRIES_MAX: Final = 5
#: More than this many messages in one dump is not a controller.
DUMP_MESSAGES_MAX: Final = 1_000_000
#: The kernel fills at most 32 KiB per datagram of a dump; a single message can be longer.
RECEIVE_BYTES: Final = 256 * 1024

_SOL_NETLINK: Final = 270
_CAP_ACK, _EXT_ACK, _STRICT_CHECK = 10, 11, 12
_SIOCGIFINDEX: Final = 0x8933
_IFREQ: Final = struct.Struct("=16si20x")
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11  # NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END
_NFGENMSG: Final = struct.Struct("!BBH")


class KernelRefused(Exception):
    """The kernel answered a request with an error. `note` is its extended text, often empty."""

    def __init__(self, code: int, note: str) -> None:
        self.code = code
        self.note = note
        super().__init__(f"{os.strerror(code)}{f' ({note})' if note else ''}")


class Unreadable(Exception):
    """A reply did not come, did not fit, contradicted itself, or a dump never held still."""


class NetlinkChannel:
    """A netlink socket for requests (strict checking, extended errors) of one protocol of netlink(7)."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._protocol = protocol
        self._socket = _open(protocol)
        self._buffer = bytearray(RECEIVE_BYTES)
        self._sequence = int.from_bytes(os.urandom(3), "big")

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()

    def index_of(self, name: str) -> int:
        """The index of a link. Raises Refused(ENODEV) when there is none of that name."""
        raw = name.encode()
        if not 0 < len(raw) < 16:
            raise KernelRefused(errno.ENODEV, "")
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFINDEX, _IFREQ.pack(raw, 0))
        except OSError as problem:
            raise KernelRefused(problem.errno or errno.EIO, "") from problem
        index: int = _IFREQ.unpack(answer)[1]
        return index

    def request(self, kind: int, flags: int, body: bytes) -> None:
        """Sends one change and waits for the kernel's word. Raises Refused or Unreadable."""
        self._send(kind, wire.REQUEST | wire.ACK | flags, body)
        self._until_acknowledged()

    def transact(self, subsystem: int, kind: int, body: bytes) -> None:
        """Sends one change as a transaction of nfnetlink (linux/netfilter/nfnetlink.h) and waits for the kernel's word.

        Raises Refused or Unreadable.
        """
        frame = _NFGENMSG.pack(0, 0, subsystem)
        begin, end = (
            wire.HEADER.pack(16 + len(frame), one, wire.REQUEST, 0, 0) + frame for one in (_BATCH_BEGIN, _BATCH_END)
        )
        change = wire.HEADER.pack(16 + len(body), kind, wire.REQUEST | wire.ACK, self._next(), 0) + body
        self._send_all(begin + change + bytes(-len(change) % 4) + end)
        self._until_acknowledged()

    def ask(self, kind: int, body: bytes) -> bytes:
        """Sends one question that has one answer. Raises Refused or Unreadable."""
        sequence = self._send(kind, wire.REQUEST, body)
        while True:
            for reply, reply_flags, reply_sequence, payload in wire.messages(self._receive()):
                if reply_sequence != sequence:
                    continue
                if reply != wire.ERROR:
                    return payload
                _judge(reply_flags, payload)

    def dump(self, kind: int, body: bytes, reply: int | None = None) -> list[bytes]:
        """The payloads of one whole table, read again while it changes. Raises Refused or Unreadable.

        `reply`: the type of the messages that answer; None is that of rtnetlink(7), two less than `kind`.
        """
        deadline = time.monotonic() + DUMP_WAIT_S
        for _ in range(DUMP_TRIES_MAX):
            try:
                payloads, whole = self._dump_once(kind, body, kind - 2 if reply is None else reply, deadline)
            except (Unreadable, wire.MalformedMessage):
                # The kernel starts no second dump on a socket whose first one was not read to its end.
                if self._socket.fileno() >= 0:
                    self._socket.close()
                    self._socket = _open(self._protocol)
                raise
            if whole:
                return payloads
        raise Unreadable(f"the table kept changing while it was read ({DUMP_TRIES_MAX} tries)")

    def _dump_once(self, kind: int, body: bytes, wanted: int, deadline: float) -> tuple[list[bytes], bool]:
        sequence = self._send(kind, wire.REQUEST | wire.DUMP, body)
        payloads: list[bytes] = []
        interrupted = 0
        while True:
            for reply, flags, reply_sequence, payload in wire.messages(self._receive()):
                if reply_sequence != sequence:
                    continue
                interrupted |= flags & wire.DUMP_INTERRUPTED
                if reply == wire.DONE:
                    if payload:
                        _judge(flags, payload, 4)
                    return payloads, not interrupted
                if reply == wire.ERROR:
                    _judge(flags, payload)
                elif reply == wanted:
                    payloads.append(payload)
            if time.monotonic() > deadline or len(payloads) > DUMP_MESSAGES_MAX:
                raise Unreadable(f"the dump was not over after {DUMP_WAIT_S} s or {len(payloads)} messages")

    def _next(self) -> int:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        return self._sequence

    def _send(self, kind: int, flags: int, body: bytes) -> int:
        sequence = self._next()
        self._send_all(wire.HEADER.pack(16 + len(body), kind, flags, sequence, 0) + body)
        return sequence

    def _send_all(self, messages: bytes) -> None:
        try:
            self._socket.send(messages)
        except OSError as problem:
            raise Unreadable(f"netlink: {problem.strerror}") from problem

    def _until_acknowledged(self) -> None:
        """Waits for the word on the last message that was sent. Raises Refused or Unreadable."""
        while True:
            for reply, flags, sequence, payload in wire.messages(self._receive()):
                if reply == wire.ERROR and sequence == self._sequence:
                    return _judge(flags, payload)

    def _receive(self) -> bytes:
        try:
            # With MSG_TRUNC the length is the real one even where the buffer was too small.
            length = self._socket.recv_into(self._buffer, 0, socket.MSG_TRUNC)
        except BlockingIOError as problem:
            raise Unreadable(f"netlink: no answer within {REPLY_WAIT_S} s") from problem
        except OSError as problem:
            raise Unreadable(f"netlink: {problem.strerror}") from problem
        if not 0 < length <= RECEIVE_BYTES:
            raise Unreadable(f"netlink: a message of {length} bytes does not fit")
        return bytes(memoryview(self._buffer)[:length])


def _open(protocol: int) -> socket.socket:
    """A connected socket whose waits end in the kernel, which spares a poll for each reply."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    for option in (_CAP_ACK, _EXT_ACK, _STRICT_CHECK):
        opened.setsockopt(_SOL_NETLINK, option, 1)
    wait = struct.pack("@ll", REPLY_WAIT_S, 0)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
    opened.connect((0, 0))
    return opened


def _judge(flags: int, payload: bytes, attributes_at: int = 20) -> None:
    """Returns on success (error 0), raises Refused otherwise.

    The payload is that of nlmsgerr (the error, then the header of the request) or of NLMSG_DONE (the error alone);
    extended text follows.
    """
    code = -wire.value_of(wire.S32, payload)
    if code == 0:
        return
    note = ""
    if flags & wire.ACK_HAS_ATTRIBUTES:
        note = wire.text_of(wire.attributes(payload, attributes_at).get(1))  # NLMSGERR_ATTR_MSG
    raise KernelRefused(code, note)
