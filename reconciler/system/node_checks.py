"""The checks of single values of a node file, and the group that stands there when none is named.

`system/node` reads the file.
"""

from __future__ import annotations

import grp
import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

#: A host with or without a port, as in a URL.
HOST: Final = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(:[0-9]{1,5})?")
GROUP: Final = "hagit"
#: What looks like an OpenPGP key in a list of signers, and its whole fingerprint. A shorter number would match no key.
KEY_NUMBER: Final = re.compile(r"(0x)?[0-9a-f ]{8,}", re.IGNORECASE)
FINGERPRINT: Final = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")


def host_names(values: list[Any]) -> bool:
    """Whether all are hosts, with or without a port."""
    return all(isinstance(value, str) and HOST.fullmatch(value) for value in values)


def ip_addresses(values: list[Any]) -> bool:
    """Whether all are IP addresses; an IPv6 one may name its link."""
    try:
        return all(isinstance(value, str) and ip_address(value) for value in values)
    except ValueError:
        return False


def shelf_url(value: str) -> bool:
    """Whether it is a scheme and a place: `disks:/dev/disk/by-id`."""
    scheme, colon, rest = value.partition(":")
    return bool(scheme and colon and rest)


def default_group() -> str:
    """The group that packaging makes, when it is there."""
    return GROUP if any(group.gr_name == GROUP for group in grp.getgrall()) else "root"


def one_of(words: tuple[str, ...]) -> Callable[[Any], bool]:
    """A check whether a value is one of these."""
    return lambda value: value in words
