"""Name servers and search domains in resolv.conf(5).

Decides which lines are hagit's: `nameserver`, `search` and `domain`, under a comment that stamps them. Everything
else in the file (options, sortlist, comments) is kept in its order. Does not know who else writes the file
(`network_managers`), or whether a server answers.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Final

from reconciler.core.facts.host_setting import Resolver
from reconciler.core.facts.state import Unknown
from reconciler.errors import PerformError, StateError
from reconciler.system.files import read_bytes
from reconciler.system.hostname import write_file

_STAMP: Final = "# hagit: the lines `nameserver` and `search` are written by the agent"
_STAMP_START: Final = "# hagit:"
_OURS: Final = frozenset({"nameserver", "search", "domain"})
_FILE_BYTES_MAX: Final = 64 * 1024


def read(file: Path) -> Resolver | Unknown | None:
    """What the file says; None when there is no file, or neither name server nor search domain in it."""
    try:
        return _parse(_lines(file))
    except StateError as problem:
        return Unknown(("resolver",), f"{file}: {problem.what}")


def is_stamped(file: Path) -> bool:
    """Whether hagit wrote the lines that it reads."""
    try:
        return any(line.startswith(_STAMP_START) for line in _lines(file))
    except StateError:
        return False


def write(file: Path, after: Resolver | None) -> None:
    """Replaces hagit's lines, or takes them away; a file with nothing left is removed. Raises PerformError.

    A symlink (as systemd-resolved and resolvconf make) is replaced by a file, which those programs respect.
    """
    try:
        rest = [line for line in _lines(file) if _keyword(line) not in _OURS and not line.startswith(_STAMP_START)]
    except StateError as problem:
        raise PerformError(problem.what, where=problem.where, remedy=problem.remedy) from problem
    lines: list[str] = []
    if after is not None:
        lines.append(_STAMP)
        if after.search:
            lines.append("search " + " ".join(after.search))
        lines += [f"nameserver {server}" for server in after.nameservers]
    lines += rest
    if any(line.strip() for line in lines):
        write_file(file, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
        return
    try:
        file.unlink(missing_ok=True)
    except OSError as problem:
        raise PerformError(f"cannot remove this file: {problem.strerror}", where=str(file)) from problem


def _lines(file: Path) -> list[str]:
    return (read_bytes(file, _FILE_BYTES_MAX) or b"").decode("utf-8", "surrogateescape").splitlines()


def _keyword(line: str) -> str:
    """The keyword of a line; it has to start in the first column (resolv.conf(5))."""
    return line.split(None, 1)[0] if line and not line[0].isspace() else ""


def _parse(lines: list[str]) -> Resolver | None:
    nameservers: list[str] = []
    search: tuple[str, ...] = ()
    for line in lines:
        words = line.split()
        match _keyword(line):
            case "nameserver" if len(words) > 1:
                nameservers.append(_canonical(words[1]))
            case "search":
                search = tuple(words[1:])  # the last of these lines wins
            case "domain":
                search = tuple(words[1:2])
    return Resolver(tuple(nameservers), search) if nameservers or search else None


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address
