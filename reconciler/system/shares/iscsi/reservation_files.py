"""Initiators' own persistent reservations over a failover: the files that the kernel writes, and how they come back.

With APTPL (SPC-4, 5.13.5) an initiator asks that its registration survives a loss of power. The kernel then writes
`pr/aptpl_SERIAL` below its dbroot (target_core_pr.c, core_scsi3_update_aptpl_buf), without fsync(2). Reading it again
is left to user space: one write to `pr/res_aptpl_metadata` for each registration, while no logical unit uses the
backstore (target_pr_res_aptpl_metadata_store). A registration takes effect once the same initiator has the same
logical unit of the same target. The file lies on a shared disk, so every value is checked. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from reconciler.system.shares.iscsi.identities import LUN_MAX, fault_of_name

#: Below dbroot. The kernel makes no directory.
DIRECTORY: Final = "pr"
FILE_PREFIX: Final = "aptpl_"
FILE_BYTES_MAX: Final = 1 << 20
REGISTRATIONS_MAX: Final = 1024
#: What the kernel writes if there is nothing to keep.
NOTHING: Final = "No Registrations or Reservations"
FABRIC: Final = "iSCSI"
_START: Final = re.compile(r"PR_REG_START: \d{1,6}")
_END: Final = re.compile(r"PR_REG_END: \d{1,6}")
_ISID: Final = re.compile(r"[0-9a-f]{12}")
#: SPC-4, 6.14.3.4: types of reservations.
_TYPES: Final = (1, 3, 5, 6, 7, 8)
_TAG_MAX: Final = 65_535
_KEY_MAX: Final = (1 << 64) - 1


class ReservationFileError(Exception):
    """The file is none that the kernel wrote; the message says what is wrong."""


def registrations(content: bytes) -> list[str]:
    """Return one line for `pr/res_aptpl_metadata` for each registration. Raises ReservationFileError.

    The kernel prints the type in hexadecimal digits and reads it like a number of C, in which 08 is none; so every
    number is written in decimal digits.
    """
    if len(content) > FILE_BYTES_MAX:
        raise ReservationFileError(f"larger than {FILE_BYTES_MAX} bytes")
    try:
        text = content.decode("ascii").rstrip("\0\n")
    except UnicodeDecodeError:
        raise ReservationFileError("it has bytes that are no text") from None
    if text in ("", NOTHING):
        return []
    found: list[str] = []
    fields: dict[str, str] | None = None
    for line in text.split("\n"):
        if _START.fullmatch(line) and fields is None:
            fields = {}
        elif _END.fullmatch(line) and fields is not None:
            found.append(_line(fields))
            fields = None
        elif fields is not None and "=" in line:
            key, _, value = line.partition("=")
            fields[key] = value
        else:
            raise ReservationFileError(f"unexpected line {line[:80]!r}")
    if fields is not None:
        raise ReservationFileError("it ends within a registration")
    if len(found) > REGISTRATIONS_MAX:
        raise ReservationFileError(f"more than {REGISTRATIONS_MAX} registrations")
    return found


def _line(fields: Mapping[str, str]) -> str:
    initiator, target = fields.get("initiator_node", ""), fields.get("target_node", "")
    for name in (initiator, target):
        if fault := fault_of_name(name):
            raise ReservationFileError(fault)
    if (fields.get("initiator_fabric"), fields.get("target_fabric")) != (FABRIC, FABRIC):
        raise ReservationFileError("a registration over another fabric than iSCSI")
    holder = _number(fields, "res_holder", 1)
    words = [f"initiator_fabric={FABRIC}", f"initiator_node={initiator}"]
    if (isid := fields.get("initiator_sid")) is not None:
        if not _ISID.fullmatch(isid):
            raise ReservationFileError(f"{isid[:20]!r} is no identifier of a session")
        words.append(f"initiator_sid={isid}")
    words += [f"sa_res_key={_number(fields, 'sa_res_key', _KEY_MAX)}", f"res_holder={holder}"]
    if holder:
        kind = _number(fields, "res_type", max(_TYPES), 16)
        if kind not in _TYPES:
            raise ReservationFileError(f"{kind} is no type of a reservation")
        words += [f"res_type={kind}", f"res_scope={_number(fields, 'res_scope', 0, 16)}"]
    words += [
        f"res_all_tg_pt={_number(fields, 'res_all_tg_pt', 1)}",
        f"mapped_lun={_number(fields, 'mapped_lun', LUN_MAX)}",
        f"target_fabric={FABRIC}",
        f"target_node={target}",
        f"tpgt={_number(fields, 'tpgt', _TAG_MAX)}",
        f"port_rtpi={_number(fields, 'port_rtpi', _TAG_MAX)}",
        f"target_lun={_number(fields, 'target_lun', LUN_MAX)}",
    ]
    return ",".join(words)


def _number(fields: Mapping[str, str], name: str, most: int, base: int = 10) -> int:
    text = fields.get(name, "")
    if not re.fullmatch(r"[0-9a-f]{1,20}", text):
        raise ReservationFileError(f"{name} is {text[:20]!r} and no number")
    try:
        value = int(text, base)
    except ValueError:
        raise ReservationFileError(f"{name} is {text!r} and no number") from None
    if value > most:
        raise ReservationFileError(f"{name} is {value}, at most {most} is possible")
    return value
