"""Messages on a byte stream: strict JSON, each with its length before it, no longer than a limit.

Decides where a message ends and which bytes are none. Does not know what messages say, nor who is at the other end.

    4 bytes, big-endian: length of what follows   |   that many bytes of ASCII JSON, one object
"""

from __future__ import annotations

import json
from typing import Any, Final

from reconciler.errors import StateError

LENGTH_BYTES: Final = 4
#: 2,048 disks with views and sectors fit.
FRAME_BYTES_MAX: Final = 4 << 20
Message = dict[str, Any]


def frame(message: Message) -> bytes:
    """The bytes of one message. Raises StateError for one that is too long."""
    body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(body) > FRAME_BYTES_MAX:
        raise StateError(f"a message of {len(body)} bytes, {FRAME_BYTES_MAX} are allowed")
    return len(body).to_bytes(LENGTH_BYTES) + body


class Frames:
    """Takes bytes as they come and gives whole messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def take(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises StateError for bytes that no `frame` made; the stream is lost."""
        self._held += data
        found: list[Message] = []
        while len(self._held) >= LENGTH_BYTES:
            length = int.from_bytes(self._held[:LENGTH_BYTES])
            if length > FRAME_BYTES_MAX:
                raise StateError(f"a message of {length} bytes, {FRAME_BYTES_MAX} are allowed")
            if len(self._held) < LENGTH_BYTES + length:
                break
            found.append(_message(bytes(self._held[LENGTH_BYTES : LENGTH_BYTES + length])))
            del self._held[: LENGTH_BYTES + length]
        return found


def _message(body: bytes) -> Message:
    try:
        message = json.loads(body.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise StateError(f"a message that is no JSON: {error}"[:200]) from None
    if not isinstance(message, dict):
        raise StateError(f"a message that is a {type(message).__name__}, not an object")
    return message
