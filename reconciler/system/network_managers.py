"""Other network managers that claim a link, told from the files they leave; none of their tools is called.

Decides which links systemd-networkd, NetworkManager, ifupdown and netplan would touch, and whether another program
writes the resolver. Does not read their configuration language further than names: a link that netplan matches by MAC
shows up through systemd-networkd or NetworkManager, which carry it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from reconciler.system.files import open_regular

_FILE_BYTES_MAX: Final = 256 * 1024
_FILES_MAX: Final = 1000
_DEPTH_MAX: Final = 10
_NETPLAN_SECTIONS: Final = frozenset({"ethernets", "bonds", "bridges", "vlans", "wifis", "modems", "dummy-devices"})
_RESOLVER_WRITERS: Final = (
    ("systemd/resolve", "systemd-resolved"),
    ("NetworkManager", "NetworkManager"),
    ("resolvconf", "resolvconf"),
)


def claims(root: Path, indices: Mapping[str, int], resolver_file: Path) -> dict[str, tuple[str, ...]]:
    """Managers by link, and by the path of the resolver file, which no link can be named like.

    `indices` holds every link by name. A file that cannot be read claims nothing.
    """
    found: dict[str, list[str]] = {}
    names = {index: name for name, index in indices.items()}
    if _shares_network_with_managers(root):
        for index, manager in (*_networkd(root), *_network_manager(root)):
            if index in names:
                found.setdefault(names[index], []).append(manager)
    for manager, claimed in (("ifupdown", _ifupdown(root)), ("netplan", _netplan(root))):
        for name in claimed & indices.keys():
            found.setdefault(name, []).append(manager)
    writer = _resolver_writer(resolver_file)
    if writer:
        found[str(resolver_file)] = [writer]
    return {name: tuple(dict.fromkeys(found[name])) for name in sorted(found)}


def _shares_network_with_managers(root: Path) -> bool:
    """Daemons of the machine count links in the network namespace of process 1; indices elsewhere mean other links."""
    if root != Path("/"):
        return True
    try:
        return Path("/proc/1/ns/net").readlink() == Path("/proc/thread-self/ns/net").readlink()
    except OSError:
        # Not ours to read. The kernel shows this setting in its first network namespace only.
        return Path("/proc/sys/net/core/netdev_budget").exists()


def _networkd(root: Path) -> Iterator[tuple[int, str]]:
    for index, text in _by_index(root / "run/systemd/netif/links"):
        state = re.search(r"^ADMIN_STATE=(\S+)", text, re.MULTILINE)
        if state and state[1] != "unmanaged":
            yield index, "systemd-networkd"
            if re.search(r"^NETWORK_FILE=.*netplan", text, re.MULTILINE):
                yield index, "netplan"


def _network_manager(root: Path) -> Iterator[tuple[int, str]]:
    for index, text in _by_index(root / "run/NetworkManager/devices"):
        if re.search(r"^managed=(true|1)\s*$", text, re.MULTILINE):
            yield index, "NetworkManager"


def _by_index(directory: Path) -> Iterator[tuple[int, str]]:
    """The files of a directory that are named by link indices."""
    for file in _files(directory):
        if file.name.isdecimal():
            yield int(file.name), _text(file)


def _ifupdown(root: Path) -> set[str]:
    """The `iface` stanzas of interfaces(5), included files too."""
    return {name for name in _stanzas(root / "etc/network/interfaces", root, 0) if name != "lo"}


def _stanzas(file: Path, root: Path, depth: int) -> Iterator[str]:
    if depth > _DEPTH_MAX:
        return
    for line in _text(file).splitlines():
        words = line.split()
        match words[:2]:
            case ["iface", name]:
                yield name
            case ["source" | "source-directory" as word, pattern]:
                place = (root / pattern.lstrip("/")) if pattern.startswith("/") else file.parent / pattern
                inner = _files(place) if word == "source-directory" else _matching(place)
                for included in inner:
                    yield from _stanzas(included, root, depth + 1)


def _netplan(root: Path) -> set[str]:
    """The names one level below each section, in block style, which is what netplan documents and writes."""
    found: set[str] = set()
    for directory in ("etc/netplan", "run/netplan", "lib/netplan"):
        for file in _files(root / directory):
            if file.suffix == ".yaml":
                found |= _netplan_names(_text(file))
    return found


def _netplan_names(text: str) -> set[str]:
    found: set[str] = set()
    section: int | None = None
    level: int | None = None
    for line in text.splitlines():
        key = re.match(r"( *)[\"']?([^\s\"':#][^\s\"':]*)[\"']?\s*:", line)
        if key is None:
            continue
        indent, name = len(key[1]), key[2]
        if name in _NETPLAN_SECTIONS and (section is None or indent <= section):
            section, level = indent, None
        elif section is not None and indent <= section:
            section = None
        elif section is not None:
            level = indent if level is None else level
            if indent == level:
                found.add(name)
            elif name == "set-name":
                found.add(line.partition(":")[2].strip().strip("\"'"))
    return found


def _resolver_writer(resolver_file: Path) -> str:
    try:
        target = str(resolver_file.readlink())
    except OSError:
        return ""
    return next((writer for part, writer in _RESOLVER_WRITERS if part in target), "")


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.is_file())[:_FILES_MAX]
    except OSError:
        return []


def _matching(pattern: Path) -> list[Path]:
    """The files that a shell pattern names, in its last part only."""
    return [file for file in _files(pattern.parent) if file.match(pattern.name)]


def _text(file: Path) -> str:
    try:
        with open_regular(file) as opened:
            return opened.read(_FILE_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""
