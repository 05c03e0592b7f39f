"""A way to an iSCSI target that can hang, and by which every initiator port keeps its name.

    python -m tests.lab.relay PORT HOST:PORT NUMBER

Prints `ready` when it listens on 127.0.0.1. Stopped (SIGSTOP) it keeps every connection and carries nothing. When one
side of a connection ends, so does the other. Initiators that take a new session identifier (ISID) for each login get
one that is made of the number: for a target they are the same port before and after (RFC 7143, 4.4.3.1), as one of SAS
is. An initiator may have one session over each relay, and each relay needs a number of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Final

CHUNK: Final = 1 << 18
#: RFC 7143, 11.2.1 and 11.12: the header, the code of a Login Request, where it has the identifier.
HEADER_BYTES: Final = 48
CODE_MASK: Final = 0x3F
LOGIN: Final = 0x03
ISID: Final = slice(8, 14)
#: T field 10b, "random": any number will do.
RANDOM: Final = 0x80


def isid(number: int) -> bytes:
    """The six bytes of a session identifier."""
    return bytes([RANDOM, *number.to_bytes(3), 0, 0])


def rest_bytes(header: bytes) -> int:
    """What follows a header without digests: additional headers and data, padded to whole words."""
    return header[4] * 4 + (int.from_bytes(header[5:8]) + 3) // 4 * 4


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Everything from one side to the other, until either ends."""
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()


async def log_in(source: asyncio.StreamReader, sink: asyncio.StreamWriter, name: bytes) -> None:
    """The requests of a login under the name, and whatever comes afterwards as it is."""
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
    """Where connections go, and by which name."""

    def __init__(self, host: str, port: int, number: int) -> None:
        self._host, self._port, self._name = host, port, isid(number)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
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
        """For ever."""
        server = await asyncio.start_server(self.carry, "127.0.0.1", here)
        print("ready", flush=True)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    place, _, far_port = sys.argv[2].rpartition(":")
    asyncio.run(Relay(place, int(far_port), int(sys.argv[3])).serve(int(sys.argv[1])))
