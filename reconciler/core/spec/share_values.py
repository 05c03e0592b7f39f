"""How a client, a path of an export, an iSCSI name or a CHAP user is written, and what is said when it is not.

Decides on one value at a time; what two values mean together is `lint`'s. Kernel tables and configfs get these values
later, so none of them holds white space, quotes, control characters or anything that a shell reads.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final

from pydantic import PlainValidator, WithJsonSchema

from reconciler.core.shares.shares import SECRET_NAME
from reconciler.core.spec.sizes import DATASET
from reconciler.core.spec.values import ADDRESS, HOSTNAME, RESOURCE_NAME, refuse, shown

#: strict_json, TEXT_MAX; and limits.h, NAME_MAX, for one part.
SHARE_PATH_LENGTH_MAX: Final = 255
#: Letters of every script, digits, and these signs. A part never begins with a dash.
_PART: Final = re.compile(r"[\w.@+:=,~][\w.@+:=,~-]*")
#: RFC 7143, 4.2.7.1: at most 223 bytes. 4.2.7.4: `iqn.`, year and month, a reversed domain, and a text behind a colon.
ISCSI_NAME_LENGTH_MAX: Final = 223
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#: RFC 7143, 4.2.7.5 and 4.2.7.6: EUI-64 in 16 hexadecimal digits, NAA in 16 or 32.
ISCSI_NAME: Final = (
    rf"iqn\.[0-9]{{4}}-(?:0[1-9]|1[0-2])\.{_LABEL}(?:\.{_LABEL})*(?::[a-z0-9.:-]+)?"
    r"|eui\.[0-9a-f]{16}|naa\.(?:[0-9a-f]{16}|[0-9a-f]{32})"
)
#: The kernel takes a user that begins with NULL for no user (drivers/target/iscsi/iscsi_target_configfs.c).
CHAP_USER: Final = r"(?!NULL)[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,254}"

#: Versions of NFS that the kernel serves.
VERSIONS: Final = ("3", "4.0", "4.1", "4.2")

_HOSTS_REMEDY: Final = "Write one address, one network as 10.0.0.0/24, one host name, or `*` for every client."


def _hosts(value: Any) -> str:
    """One entry of exports(5): an address, a network, a host name or `*`, in its shortest form."""
    text = value if isinstance(value, str) else ""
    if text == "*":
        return text
    if ":" in text or "/" in text or text.replace(".", "").isdigit():
        return _address_or_network(text)
    if text.startswith("@") or re.search(r"[*?\[\]]", text):
        what = f"{shown(value)} is a netgroup or a pattern, and another machine decides which clients it means"
        raise refuse("client-hosts", what, _HOSTS_REMEDY)
    if not re.fullmatch(HOSTNAME, text):
        raise refuse("client-hosts", f"{shown(value)} is no client", _HOSTS_REMEDY)
    return text.lower()


def _address_or_network(text: str) -> str:
    try:
        if "%" in text or ("/" in text and not re.fullmatch(ADDRESS, text)):
            raise ValueError(text)
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise refuse("client-hosts", f"{shown(text)} is no client", _HOSTS_REMEDY) from None
    first = network.network_address
    if first != ipaddress.ip_interface(text).ip:
        raise refuse("client-hosts", f"`{text}` has bits outside its prefix", f"Write {network}.")
    if first.is_multicast or (first.is_unspecified and network.prefixlen == network.max_prefixlen):
        raise refuse("client-hosts", f"`{text}` is the address of no client", _HOSTS_REMEDY)
    return str(network) if "/" in text else str(first)


def _share_path(value: Any) -> str:
    """A path below the mount point of a dataset."""
    text = value if isinstance(value, str) else ""
    remedy = "Write a path below the mount point of the dataset: projects/alpha. Without `path`, all of it is exported."
    if text.startswith("/"):
        what = f"{shown(value)} is absolute: an export never leaves its dataset"
        raise refuse("share-path", what, remedy)
    parts = text.split("/")
    if ".." in parts:
        raise refuse("share-path", f"{shown(value)} leads out of the dataset", remedy)
    if len(text) > SHARE_PATH_LENGTH_MAX or "." in parts or not all(_PART.fullmatch(part) for part in parts):
        raise refuse("share-path", f"{shown(value)} is no path in a dataset", remedy)
    return text


def _dataset(value: Any) -> str:
    """The name of a Dataset resource."""
    if isinstance(value, str) and re.fullmatch(DATASET, value) and "/" in value:
        remedy = "Write the name of its Dataset resource, which stands there as metadata.name."
        raise refuse("dataset-resource", f"{shown(value)} is the name of a dataset in ZFS", remedy)
    if not isinstance(value, str) or not re.fullmatch(RESOURCE_NAME, value):
        raise refuse("name", f"{shown(value)} is no name of a Dataset resource", "Write its metadata.name.")
    return value


def _iscsi_name(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    remedy = "Write iqn.2026-01.org.example:disk1, eui. and 16 hexadecimal digits, or naa. and 16 or 32 of them."
    if text != text.lower() and re.fullmatch(ISCSI_NAME, text.lower()):
        what = f"{shown(value)} has capital letters, and initiators compare names in small ones"
        raise refuse("iscsi-name", what, f"Write {text.lower()}.")
    if len(text) > ISCSI_NAME_LENGTH_MAX or not re.fullmatch(ISCSI_NAME, text):
        raise refuse("iscsi-name", f"{shown(value)} is no iSCSI name", remedy)
    return text


def _chap_user(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(CHAP_USER, value):
        remedy = "Use letters, digits and _ . : @ + -, at most 255; a user that begins with NULL is none to the kernel."
        raise refuse("chap-user", f"{shown(value)} is no user of CHAP", remedy)
    return value


def _secret_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(SECRET_NAME, value):
        remedy = (
            'Write a name here, and NAME = "FILE" in [chap] of both node files. A secret that stood here is known now: '
            "choose another one."
        )
        # The value itself stays out of the message: it may be a secret.
        raise refuse("chap-secret", "this is no name of a secret: letters, digits, _ and -, at most 63", remedy)
    return value


def _version(value: Any) -> str:
    """A version of NFS. YAML reads 3 as a number and 4.1 as text."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if text not in VERSIONS:
        raise refuse("nfs-version", f"{shown(value)} is no version of NFS", f"Choose from {', '.join(VERSIONS)}.")
    return str(text)


def _schema(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$", "examples": list(examples)})


ClientHosts = Annotated[
    str, PlainValidator(_hosts), _schema(r"\*|[A-Za-z0-9.:/-]{1,64}", "10.0.0.0/24", "fd00:10::/64", "ws1.example.org")
]
SharedDataset = Annotated[str, PlainValidator(_dataset), _schema(RESOURCE_NAME, "home")]
SharePath = Annotated[str, PlainValidator(_share_path), _schema(r"[^\s/][^\s]{0,254}", "projects/alpha")]
IscsiName = Annotated[str, PlainValidator(_iscsi_name), _schema(ISCSI_NAME, "iqn.2026-01.org.example:disk1")]
ChapUser = Annotated[str, PlainValidator(_chap_user), _schema(CHAP_USER, "hypervisor1")]
SecretName = Annotated[str, PlainValidator(_secret_name), _schema(SECRET_NAME, "hypervisor1")]
NfsVersion = Annotated[
    str,
    PlainValidator(_version),
    # An editor reads 4.1 as a number.
    WithJsonSchema({"enum": [*VERSIONS, 3, 4.0, 4.1, 4.2], "examples": ["4.2"]}),
]
