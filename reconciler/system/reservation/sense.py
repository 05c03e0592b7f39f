"""Sense data: why a SCSI command ended with CHECK CONDITION (SPC-4, 4.5), in both formats.

Decides what is worth repeating and what a refusal means. Does not know which command it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class SenseKey(IntEnum):
    """SPC-4, table 48, what matters here."""

    NO_SENSE = 0x0
    RECOVERED = 0x1
    NOT_READY = 0x2
    MEDIUM_ERROR = 0x3
    HARDWARE_ERROR = 0x4
    ILLEGAL_REQUEST = 0x5
    UNIT_ATTENTION = 0x6
    DATA_PROTECT = 0x7
    ABORTED_COMMAND = 0xB


@dataclass(frozen=True, slots=True)
class Sense:
    """The three codes that say everything. `key` may be one that SenseKey does not name."""

    key: int
    code: int
    qualifier: int

    def __str__(self) -> str:
        what = MEANINGS.get((self.code, self.qualifier)) or RESETS.get(self.code, "")
        names = {key.value: key.name.lower().replace("_", " ") for key in SenseKey}
        codes = f"{names.get(self.key, f'sense key {self.key:x}')} {self.code:02x}/{self.qualifier:02x}"
        return f"{codes}, {what}" if what else codes

    @property
    def attention(self) -> bool:
        """Something has happened since the last command; this one was not done (SPC-4, 5.14)."""
        return self.key == SenseKey.UNIT_ATTENTION

    @property
    def preempted(self) -> bool:
        """An attention which says that another took our registration or reservation away."""
        return self.attention and (self.code, self.qualifier) in PREEMPTED

    @property
    def unsupported(self) -> bool:
        """The disk does not know this command or service action, or not with these fields; it did nothing."""
        return self.key == SenseKey.ILLEGAL_REQUEST and (self.code, self.qualifier) in UNSUPPORTED


#: RESERVATIONS PREEMPTED is told to those who lose a reservation, REGISTRATIONS PREEMPTED to those who lose both.
PREEMPTED: Final = frozenset({(0x2A, 0x03), (0x2A, 0x05)})
#: INVALID COMMAND OPERATION CODE, INVALID FIELD IN CDB, INVALID FIELD IN PARAMETER LIST, PARAMETER NOT SUPPORTED.
UNSUPPORTED: Final = frozenset({(0x20, 0x00), (0x24, 0x00), (0x26, 0x00), (0x26, 0x01)})
MEANINGS: Final = {
    (0x04, 0x02): "the disk is not started",
    (0x20, 0x00): "no such command",
    (0x24, 0x00): "a field of the command that it does not support",
    (0x25, 0x00): "no such logical unit",
    (0x26, 0x00): "a field of the parameters that it does not support",
    (0x26, 0x01): "a parameter that it does not support",
    (0x26, 0x04): "release of a reservation that it does not have",
    (0x2A, 0x03): "the reservation was preempted",
    (0x2A, 0x04): "a reservation was released",
    (0x2A, 0x05): "the registration was preempted",
    (0x55, 0x04): "no room for another registration",
    (0x3F, 0x0E): "the list of logical units has changed",
}
#: By the additional sense code alone.
RESETS: Final = {0x29: "power on or reset", 0x28: "the medium may have changed", 0x2A: "something was changed"}

FIXED: Final = (0x70, 0x71)
DESCRIPTOR: Final = (0x72, 0x73)


def decode_sense(data: bytes) -> Sense | None:
    """The codes in sense data; None where there are none. Never raises, whatever the bytes."""
    response = data[0] & 0x7F if data else 0
    if response in DESCRIPTOR and len(data) >= 4:
        return Sense(data[1] & 0x0F, data[2], data[3])
    if response in FIXED and len(data) >= 3:
        # ADDITIONAL SENSE LENGTH counts from byte 8; what it does not cover was not said.
        said = data[: 8 + data[7]] if len(data) > 7 else data
        return Sense(data[2] & 0x0F, said[12] if len(said) > 12 else 0, said[13] if len(said) > 13 else 0)
    return None
