"""A relay to an iSCSI target: it can hang, and every initiator port keeps its name through it.

    python -m tests.lab.relay PORT HOST:PORT NUMBER

Prints `ready` when it listens on 127.0.0.1. Stopped (SIGSTOP) it keeps every connection and carries nothing. When one
side of a connection ends, so does the other. Some initiators take a new session identifier (ISID) for each login; the
relay replaces it by one made of NUMBER. For a target they are then the same port before and after (RFC 7143, 4.4.3.1),
as a SAS port is. An initiator may have one session over each relay, and each relay needs its own number.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Final

CHUNK: Final = 1 << 18
#: RFC 7143, 11.2.1 and 11.12: length of the header, opcode of a Login Request, place of the identifier.
HEADER_BYTES: Final = 48
CODE_MASK: Final = 0x3F
LOGIN: Final = 0x03
ISID: Final = slice(8, 14)
#: T field 10b, "random": any number is valid.
RANDOM: Final = 0x80


def isid(number: int) -> bytes:
    """Return the six bytes of a session identifier."""
    return bytes([RANDOM, *number.to_bytes(3), 0, 0])


def rest_bytes(header: bytes) -> int:
    """Return how many bytes follow a header without digests: additional headers and data, padded to whole words."""
    return header[4] * 4 + (int.from_bytes(header[5:8]) + 3) // 4 * 4


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Carry everything from one side to the other, until either ends."""
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()


async def log_in(source: asyncio.StreamReader, sink: asyncio.StreamWriter, name: bytes) -> None:
    """Carry the requests of a login with the new identifier, and everything after it unchanged."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            header = bytearray(await source.readexactly(HEADER_BYTES))
            login = header[0] & CODE_MASK == LOGIN
            if login:
                header[ISID] = name
            sink.write(header + await source.readexactly(rest_bytes(header)))
            await sink.drain()
            if not login:
                break
        await pump(source, sink)


class Relay:
    """The target of the connections, and the session identifier."""

    def __init__(self, host: str, port: int, number: int) -> None:
        self._host, self._port, self._name = host, port, isid(number)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection, to its end."""
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            there = asyncio.create_task(log_in(reader, far_writer, self._name))
            back = asyncio.create_task(pump(far_reader, writer))
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            there.cancel()
            back.cancel()
            far_writer.transport.abort()
        writer.transport.abort()

    async def serve(self, here: int) -> None:
        """Serve until the process ends."""
        server = await asyncio.start_server(self.carry, "127.0.0.1", here)
        print("ready", flush=True)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    place, _, far_port = sys.argv[2].rpartition(":")
    asyncio.run(Relay(place, int(far_port), int(sys.argv[3])).serve(int(sys.argv[1])))
