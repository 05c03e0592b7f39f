"""Names and numbers of the kernel's target: what initiators recognise, and how hagit recognises its own objects.

An initiator knows a disk by its unit serial number and by the NAA identifier that the kernel makes of it. Both follow
from the GUID of the volume, so the peer serves the same disk. Every text that becomes a component of a path below
configfs passes a check here, although the compiler has checked it before. Pure.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

#: Backstores of hagit: this prefix and the serial number.
BACKSTORE_PREFIX: Final = "hagit-"
#: The host bus adapter below `core` that has all backstores of hagit. Other programs count from 0.
ADAPTER: Final = "iblock_3260"
#: TargetAlias of hagit's targets: this prefix and the name of the share. An initiator may show it.
ALIAS_PREFIX: Final = "hagit/"
#: iscsi_target_core.h, ISCSI_IQN_LEN 224, with the byte that ends it.
NAME_BYTES_MAX: Final = 223
#: RFC 7143, 4.2.7: `iqn.` with month and domain, `eui.` or `naa.` with hexadecimal digits. The kernel writes the names
#: of initiators in lower case before it compares them.
_IQN: Final = re.compile(r"iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9][a-z0-9.-]*(:[a-z0-9.:_-]+)?")
_EUI: Final = re.compile(r"eui\.[0-9a-f]{16}|naa\.([0-9a-f]{16}|[0-9a-f]{32})")
_SHARE: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_SERIAL: Final = re.compile(r"[0-9a-f]{16}")
GUID_MAX: Final = (1 << 64) - 1
#: A logical unit number in one level (SAM-5, 4.7.7.1: flat space addressing).
LUN_MAX: Final = 16_383


def fault_of_name(name: str) -> str:
    """Why this cannot be the name of a target or an initiator; "" if it can."""
    if len(name.encode(errors="replace")) > NAME_BYTES_MAX:
        return f"a name of more than {NAME_BYTES_MAX} bytes"
    if _IQN.fullmatch(name) or _EUI.fullmatch(name):
        return ""
    if _IQN.fullmatch(name.lower()) or _EUI.fullmatch(name.lower()):
        return f"{name!r} has capital letters, and the kernel compares names in lower case"
    return f"{name!r} is no iSCSI name, like iqn.2026-01.org.example:disk"


def fault_of_share(name: str) -> str:
    """Why this cannot be the name of a share in a TargetAlias; "" if it can."""
    return "" if _SHARE.fullmatch(name) else f"{name!r} is no name of a resource"


def serial_of(guid: int) -> str:
    """Return the unit serial number of the volume with this GUID: its 16 hexadecimal digits.

    Of the serial number the kernel takes the first 25 hexadecimal digits into the NAA identifier (spc_parse_naa_6h),
    so two volumes never have one identifier. Raises ValueError for a number that is no GUID.
    """
    if not 0 < guid <= GUID_MAX:
        raise ValueError(f"{guid} is no GUID of a dataset")
    return f"{guid:016x}"


def backstore_of(serial: str) -> str:
    """Return the name of the backstore of a volume."""
    assert _SERIAL.fullmatch(serial), serial
    return BACKSTORE_PREFIX + serial


def serial_in(backstore: str) -> str | None:
    """Return the serial number in the name of a backstore; None if the backstore is not hagit's."""
    serial = backstore.removeprefix(BACKSTORE_PREFIX)
    return serial if backstore.startswith(BACKSTORE_PREFIX) and _SERIAL.fullmatch(serial) else None


def alias_of(share: str) -> str:
    """Return the TargetAlias of a share, which marks the target as hagit's."""
    return ALIAS_PREFIX + share


def share_in(alias: str) -> str | None:
    """Return the share that a TargetAlias names; None if hagit did not write it."""
    share = alias.removeprefix(ALIAS_PREFIX)
    return share if alias.startswith(ALIAS_PREFIX) and _SHARE.fullmatch(share) else None


def portal_of(address: str, port: int) -> str:
    """Return the name of a portal below `np`. Raises ValueError for anything but an address without a zone."""
    parsed = ip_address(address)
    if "%" in address or not 0 < port < 65_536:
        raise ValueError(f"{address!r}, port {port}: no portal")
    return f"[{parsed}]:{port}" if parsed.version == 6 else f"{parsed}:{port}"
