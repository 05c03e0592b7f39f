"""The scalars of the language: how an address, a MAC, a duration or a URL is written, and what is said when it is not.

Decides on one value at a time; what two values mean together is `lint`'s. Each type says in the JSON Schema what it
looks like. A refusal is a `PydanticCustomError` whose type is the complaint's code and whose context holds the remedy.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final, TypeAlias

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from reconciler.core.facts.folder import FOLDER
from reconciler.core.facts.ssh_public_key import ALGORITHMS, public_key

IPInterface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
#: A kernel name: at most 15 bytes (IFNAMSIZ less the terminating zero), no slash, colon or space. Some are taken: the
#: loopback, directories of /proc/sys/net and a file of /sys/class/net, and links that the kernel's tunnels make first.
KERNEL_NAME: Final = (
    r"(?!(?:lo|all|default|bonding_masters|gre0|gretap0|erspan0|tunl0|sit0|ip6tnl0|ip6gre0|ip_vti0|ip6_vti0)$)"
    r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}"
)
#: ASCII alone, and a prefix in bits: `/255.255.255.0` and digits of other scripts are no part of the language.
ADDRESS: Final = r"[0-9A-Fa-f.:]+/(?:0|[1-9][0-9]{0,2})"
RESOURCE_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}"
# RFC 1123, section 2.1; gethostname(2) allows 64 characters on Linux.
HOSTNAME: Final = (
    r"(?=.{1,64}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_DURATION = re.compile(r"([1-9][0-9]{0,5})(ms|s|m|h)")
#: A name in /dev/disk/by-id, as udev makes them (60-persistent-storage.rules).
DISK: Final = r"[A-Za-z0-9][A-Za-z0-9._:+@=-]{2,127}"
_DISK = re.compile(DISK)
_PARTITION = re.compile(r"-part[0-9]+$")
#: Names the kernel gives in the order in which it finds disks.
_KERNEL_DISK = re.compile(
    r"(?:/dev/)?(?:[svh]d[a-z]+|xvd[a-z]+|nvme[0-9]+(?:c[0-9]+)?n[0-9]+|dm-[0-9]+|loop[0-9]+)p?[0-9]*"
)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(?:([^/@\s]*)@)?([^/@\s?#]*)([^\s]*)")
#: What stands for itself in a path on a controller or a server: a name never begins with a dash, nothing is quoted.
_PLAIN_PATH: Final = r"(?:/*[A-Za-z0-9_.~+@=,:%][A-Za-z0-9_.~+@=,:%-]*)+/*"
_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:" + _PLAIN_PATH)
#: RFC 3986: a registered name or an address, and a port.
_AUTHORITY = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
#: RFC 3986: the characters of path, query and fragment; no quotes of any kind.
_REST = re.compile(r"[A-Za-z0-9._~:/?#!$&()*+,;=%@-]*")
URL_LENGTH_MAX: Final = 2_000
#: limits.h, PATH_MAX, with room for what is put behind it.
PATH_LENGTH_MAX: Final = 1_023


def refuse(code: str, what: str, remedy: str) -> PydanticCustomError:
    """The exception with which a validator refuses a value."""
    return PydanticCustomError(code, "{what}", {"what": what, "remedy": remedy})


def _text(value: Any, what: str, remedy: str = "") -> str:
    if not isinstance(value, str):
        quoted = (
            f'Quote it: "{value}".' if isinstance(value, int) and not isinstance(value, bool) else "Write it as text."
        )
        raise refuse("not-text", f"{what} must be text, not {shown(value)}", remedy or quoted)
    return value


def shown(value: Any) -> str:
    """A value the way YAML shows it, cut short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = f"`{value}`"
    return text if len(text) <= 60 else text[:57] + "…`"


def _mac(value: Any) -> str:
    text = _text(value, "a MAC address", 'Quote it, with its colons: "02:00:00:00:0a:01".').lower()
    if not _MAC.fullmatch(text):
        raise refuse("mac", f"{shown(value)} is no MAC address", 'Write six pairs: "02:00:00:00:0a:01".')
    if int(text[:2], 16) & 1 or text == "00:00:00:00:00:00":
        raise refuse("mac", f"`{text}` belongs to no single NIC", "`ip link` shows the MAC of each NIC as link/ether.")
    return text


def _pattern(pattern: str, code: str, what: str, remedy: str) -> Any:
    compiled = re.compile(pattern)

    def check(value: Any) -> str:
        text = _text(value, what)
        if not compiled.fullmatch(text):
            raise refuse(code, f"{shown(value)} is no {what.removeprefix('a ')}", remedy)
        return text

    return check


def _interface_address(value: Any) -> IPInterface:
    text = _text(value, "an address")
    if "/" in text and "%" not in text and not re.fullmatch(ADDRESS, text):
        remedy = "Write it as 10.0.0.11/24 or fd00::11/64."
        raise refuse("address", f"{shown(value)} is no address with a prefix", remedy)
    if "/" not in text:
        try:
            ip = ipaddress.ip_address(text)
        except ValueError:
            raise refuse(
                "address", f"{shown(value)} is no address", "Write it as 10.0.0.11/24 or fd00::11/64."
            ) from None
        remedy = f"Write the length of the network behind it: {text}/{24 if ip.version == 4 else 64}."
        raise refuse("address-without-prefix", f"the address `{text}` has no prefix", remedy)
    try:
        address = ipaddress.ip_interface(text)
    except ValueError:
        remedy = "Write it as 10.0.0.11/24 or fd00::11/64."
        raise refuse("address", f"{shown(value)} is no address with a prefix", remedy) from None
    _usable(address.ip, text)
    if address.network.prefixlen == 0:
        what = f"`{text}` makes a neighbour of every address there is"
        raise refuse("address-unusable", what, "Write the length of the network that the link is in.")
    return address


def _usable(ip: IPAddress, text: str) -> None:
    why = ""
    if "%" in text:
        why = "names a zone"
    elif ip.is_multicast:
        why = "is a multicast address"
    elif ip.is_loopback:
        why = "is a loopback address"
    elif ip.is_unspecified:
        why = "is the unspecified address"
    elif isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        why = f"is the IPv4 address {ip.ipv4_mapped} in another form, which no packet carries"
    elif ip.version == 6 and ip.is_link_local:
        why = "is link-local, and the kernel gives those itself"
    elif ip == ipaddress.IPv4Address("255.255.255.255"):
        why = "is the broadcast address"
    if why:
        raise refuse("address-unusable", f"`{text}` {why}", "Use an address of the network that the link is in.")


def _ip(value: Any) -> IPAddress:
    text = _text(value, "an address")
    try:
        ip = ipaddress.ip_address(text)
        if not text.isascii():
            raise ValueError(text)
    except ValueError:
        remedy = "Write it without a prefix: 10.0.0.1 or fd00::1."
        raise refuse("address", f"{shown(value)} is no address", remedy) from None
    if "%" in text or ip.is_multicast or ip.is_unspecified:
        raise refuse("address-unusable", f"`{text}` is the address of no single host", "Write the address of one host.")
    return ip


def _name_server(value: Any) -> str:
    """A host's address as resolv.conf(5) takes it: a link-local one says by which link, fe80::1%eth0."""
    text = _text(value, "an address")
    host, percent, zone = text.partition("%")
    if not percent:
        return str(_ip(value))
    ip = _ip(host)
    if not ip.is_link_local or ip.version != 6 or not re.fullmatch(KERNEL_NAME, zone):
        remedy = "Only a link-local IPv6 address names a link, by the link's name in the kernel: fe80::1%eth0."
        raise refuse("address-unusable", f"{shown(value)} is no address of a name server", remedy)
    return f"{ip}%{zone}"


def _network(value: Any) -> IPNetwork:
    text = _text(value, "a destination")
    if "/" in text and not re.fullmatch(ADDRESS, text):
        remedy = "Write it as 10.1.0.0/16 or fd01::/48."
        raise refuse("destination", f"{shown(value)} is no network", remedy)
    if text == "default":
        raise refuse("destination", "`default` does not say which family", "Write 0.0.0.0/0 or ::/0.")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        remedy = "Write it as 10.1.0.0/16 or fd01::/48."
        raise refuse("destination", f"{shown(value)} is no network", remedy) from None
    if "/" not in text:
        raise refuse("destination", f"`{text}` has no prefix", f"Write {network} for this one host.")
    if ipaddress.ip_interface(text).ip != network.network_address:
        raise refuse("destination", f"`{text}` has bits outside its prefix", f"Write {network}.")
    if (network.is_multicast and network.prefixlen) or (network.version == 6 and network.is_link_local):
        raise refuse("destination", f"`{text}` is no unicast network", "Only unicast routes can be asked for.")
    return network


def _duration(value: Any) -> float:
    text = _text(value, "a duration", "Write a number and ms, s, m or h: 60s.")
    match = _DURATION.fullmatch(text)
    if not match:
        raise refuse("duration", f"{shown(value)} is no duration", "Write a number and ms, s, m or h: 60s.")
    return int(match[1]) * _SECONDS[match[2]]


def _wait(value: Any) -> float:
    return 0.0 if isinstance(value, str) and re.fullmatch("0(ms|s|m|h)", value) else _duration(value)


def _disk(value: Any) -> str:
    text = _text(value, "a disk").removeprefix("/dev/disk/by-id/")
    if _KERNEL_DISK.fullmatch(text) or text.startswith("/dev/"):
        what = f"`{text}` names another disk after the next boot, or on the other controller"
        raise refuse("disk-unstable", what, "Write its name in /dev/disk/by-id: wwn-0x5000c500a1b2c3d4.")
    if _PARTITION.search(text):
        what = f"`{text}` is a partition, and reservations hold for whole disks"
        raise refuse("disk-partition", what, f"Write the disk: {_PARTITION.sub('', text)}.")
    if not _DISK.fullmatch(text):
        raise refuse("disk", f"{shown(value)} is no name of a disk", "`ls /dev/disk/by-id` shows the names.")
    return text


def _url(value: Any) -> str:
    return _checked_url(_text(value, "a URL"), ("http", "https"))


def _remote(value: Any) -> str:
    text = _text(value, "a remote")
    if len(text) <= URL_LENGTH_MAX:
        if text.startswith("/"):
            return _file(text, "a repository", "Write the path of the repository on the controller: /srv/git/pair.git.")
        if "://" not in text and _SCP.fullmatch(text):
            return text
    return _checked_url(text, ("https", "http", "ssh", "git", "file"))


def _public_key(value: Any) -> str:
    text = _text(value, "a public key")
    key = public_key(text)
    if isinstance(key, str):
        raise refuse("public-key", f"this {key}", "Copy the one line of the file id_ed25519.pub, without options.")
    return str(key)


def _checked_url(text: str, schemes: tuple[str, ...]) -> str:
    match = _URL.fullmatch(text)
    if not match or match[1] not in schemes:
        forms = " or ".join(f"{scheme}://" for scheme in schemes)
        raise refuse(
            "url", f"{shown(text.partition('?')[0])} is no URL for this", f"Write one that begins with {forms}."
        )
    scheme, user, host, path = match.groups()
    # The value itself stays out of the message: it holds a secret.
    if user is not None and (":" in user or scheme != "ssh"):
        remedy = "Nothing secret belongs in git: take it out and give it in a file of the controller."
        raise refuse("secret-in-url", f"the URL for `{host}` carries a user name or password", remedy)
    if (not host and scheme != "file") or (scheme == "file" and not path.startswith("/")):
        raise refuse("url", f"{shown(text)} names no host", "Write the whole URL.")
    path_fits = _REST if scheme in ("http", "https") else re.compile(f"(?:{_PLAIN_PATH}|/*)")
    if (
        len(text) > URL_LENGTH_MAX
        or (host and not _is_authority(host))
        or (user is not None and not _USER.fullmatch(user))
        or not path_fits.fullmatch(path)
    ):
        what = f"{shown(text.partition('?')[0])} has characters that have no place in a URL"
        raise refuse("url", what, "Write host, port and path in letters, digits and . _ - /; others as %20, say.")
    return text


def _is_authority(text: str) -> bool:
    """Whether this is a host, perhaps with a port."""
    match = _AUTHORITY.fullmatch(text)
    if match is None or (match[2] is not None and not 0 < int(match[2]) < 1 << 16):
        return False
    if not match[1].startswith("["):
        return True
    try:
        return ipaddress.ip_address(match[1][1:-1]).version == 6
    except ValueError:
        return False


def _file(text: str, what: str, remedy: str) -> str:
    """An absolute path that names one file as it is read: nothing unprintable, no `..`, none that the kernel makes."""
    parts = text.split("/")
    fits = text.startswith("/") and text.isprintable() and text == text.strip() and len(text) <= PATH_LENGTH_MAX
    if not fits or ".." in parts or "." in parts or not any(parts) or any(sign in text for sign in "'\"`$\\"):
        raise refuse("file", f"{shown(text)} is no absolute path of {what}", remedy)
    if parts[1] in ("proc", "sys", "dev"):
        raise refuse("file", f"`{text}` is made by the kernel", remedy)
    return text


def _secret_file(value: Any) -> str:
    remedy = "Write the path on the controller, outside the repository: /etc/hagit/secret."
    return _file(_text(value, "a file name"), "a file", remedy)


_NAME = _pattern(RESOURCE_NAME, "name", "a name", "Use letters, digits, dots, dashes and underscores, at most 63.")
_KERNEL = _pattern(
    KERNEL_NAME, "kernel-name", "a kernel name of a link", "`ip link` shows the names; at most 15 signs."
)
_HOST = _pattern(HOSTNAME, "hostname", "a host name", "Use letters, digits and dashes, dots between, at most 64.")
_PATH = _pattern(
    r"[A-Za-z0-9][A-Za-z0-9:._-]*\*?",
    "device-path",
    "a device path",
    "`udevadm info /sys/class/net/NAME` shows it as ID_PATH; a `*` may stand at its end.",
)
_REF = _pattern(
    r"(?!.*(?:\.\.|//|@\{|\.lock$|/$|\.$))[A-Za-z0-9_][A-Za-z0-9_./@{}+-]{0,199}",
    "branch",
    "a branch",
    "Write its short name: main.",
)
_SERIAL = _pattern(r"[!-~]([ -~]{0,62}[!-~])?", "serial", "a serial number", "Use printable ASCII, at most 64.")
_PRINCIPAL = _pattern(
    r"(?!-)(?:[^\W]|[.@+:=/-]){1,128}",
    "principal",
    "a principal",
    "Write one name as it stands in the controller's file of allowed signers, without patterns.",
)
_FOLDER = _pattern(
    FOLDER,
    "folder",
    "a folder of the repository",
    "Write its path from the root of the repository, without a slash before it: pairs/shelf1.",
)
_RESOURCE = _pattern(r"[A-Za-z]+/" + RESOURCE_NAME, "resource", "a resource", "Write Kind/name: Interface/storage0.")

_ADDRESS_SCHEMA: dict[str, Any] = {
    "type": "string",
    "pattern": f"^{ADDRESS}$",
    "examples": ["10.0.0.11/24", "fd00::11/64"],
}
_IP_SCHEMA: dict[str, Any] = {"type": "string", "pattern": "^[0-9A-Fa-f.:]+$", "examples": ["10.0.0.1", "fd00::1"]}


def _schema(pattern: str, *examples: str) -> WithJsonSchema:
    schema: dict[str, Any] = {"type": "string", "examples": list(examples)}
    return WithJsonSchema(schema | ({"pattern": pattern} if pattern else {}))


def pattern_schema(pattern: str, *examples: str) -> WithJsonSchema:
    """The JSON Schema of a text that has this pattern from its beginning to its end."""
    return _schema(f"^({pattern})$", *examples)


Mac = Annotated[str, PlainValidator(_mac), _schema("^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$", "02:00:00:00:0a:01")]
Name = Annotated[str, PlainValidator(_NAME), _schema(f"^{RESOURCE_NAME}$", "storage0")]
KernelName = Annotated[str, PlainValidator(_KERNEL), _schema(f"^{KERNEL_NAME}$", "enp3s0")]
DevicePath = Annotated[str, PlainValidator(_PATH), _schema(r"^[A-Za-z0-9][A-Za-z0-9:._-]*\*?$", "pci-0000:03:00.0")]
HostName = Annotated[str, PlainValidator(_HOST), _schema(f"^{HOSTNAME}$", "storage-a")]
InterfaceAddress = Annotated[IPInterface, PlainValidator(_interface_address), WithJsonSchema(_ADDRESS_SCHEMA)]
NameServer = Annotated[
    str,
    PlainValidator(_name_server),
    _schema(f"^[0-9A-Fa-f.:]+(%{KERNEL_NAME})?$", "10.0.0.2", "fd00::2", "fe80::1%eth0"),
]
HostAddress = Annotated[IPAddress, PlainValidator(_ip), WithJsonSchema(_IP_SCHEMA)]
Network = Annotated[IPNetwork, PlainValidator(_network), _schema(f"^{ADDRESS}$", "10.1.0.0/16", "::/0")]
Duration = Annotated[float, PlainValidator(_duration), _schema("^[1-9][0-9]{0,5}(ms|s|m|h)$", "60s", "5m")]
Wait = Annotated[float, PlainValidator(_wait), _schema("^(0|[1-9][0-9]{0,5})(ms|s|m|h)$", "0s", "2s")]
DiskName = Annotated[str, PlainValidator(_disk), _schema(f"^(/dev/disk/by-id/)?{DISK}$", "wwn-0x5000c500a1b2c3d4")]
Url = Annotated[str, PlainValidator(_url), _schema("^https?://[^@]*$", "http://alertmanager.example:9093")]
Remote = Annotated[
    str,
    PlainValidator(_remote),
    _schema("", "ssh://git@git.example/pair.git", "https://git.example/pair.git", "/srv/git/pair.git"),
]
SecretFile = Annotated[str, PlainValidator(_secret_file), _schema("^/", "/etc/hagit/webhook.secret")]
Folder = Annotated[
    str, PlainValidator(lambda value: _FOLDER(value).removesuffix("/")), _schema(f"^{FOLDER}$", "pairs/shelf1")
]
Branch = Annotated[str, PlainValidator(_REF), _schema("", "main")]
Serial = Annotated[str, PlainValidator(_SERIAL), _schema("", "A1-0001")]
Principal = Annotated[str, PlainValidator(_PRINCIPAL), _schema("", "admin@example.org")]
PublicKey = Annotated[
    str,
    PlainValidator(_public_key),
    _schema(
        f"^({'|'.join(map(re.escape, ALGORITHMS))}) +[A-Za-z0-9+/]+={{0,2}}( |$)",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8UQOrB6WYG2LNAWdPYkQDbXbQyxmJAJj4hTTgCzMDh ada@example.org",
    ),
]
ResourceName = Annotated[str, PlainValidator(_RESOURCE), _schema("^[A-Za-z]+/.+$", "Interface/storage0")]
