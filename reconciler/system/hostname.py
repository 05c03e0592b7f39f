"""The name of this controller: the kernel's (uname(2)) and the file it is read from at boot (hostname(5)).

One fact speaks of both. Where they differ the name reads `kernel/file`, where the file is missing `kernel/`: no
hostname contains a slash, so this equals no desired name, and writing it back restores both. Does not know DNS.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Final

from reconciler.core.facts.host_setting import Hostname
from reconciler.core.facts.state import Unknown
from reconciler.errors import PerformError, StateError
from reconciler.system.files import PUBLIC, read_bytes, write_atomic

_FILE_BYTES_MAX: Final = 4096


def read(file: Path) -> Hostname | Unknown:
    """The hostname as both places have it."""
    kernel = os.uname().nodename
    try:
        named = _name_in(file)
    except (StateError, UnicodeDecodeError) as problem:
        return Unknown(("hostname",), f"{file}: {problem}")
    return Hostname(kernel if named == kernel else f"{kernel}/{named}")


def write(file: Path, after: Hostname | None) -> None:
    """Both places get the name, or neither: the kernel first, taken back when the file cannot be written.

    A crash between the two leaves them different, which the next look shows. Raises PerformError.
    """
    if after is None:
        raise PerformError("a hostname can be changed, not removed", where=str(file))
    kernel, slash, named = after.name.partition("/")
    if not slash:
        named = kernel
    old = os.uname().nodename
    _set_kernel(kernel)
    try:
        if named:
            write_file(file, f"{named}\n".encode())
        else:
            file.unlink(missing_ok=True)
    except (PerformError, OSError) as problem:
        _set_kernel(old)
        if isinstance(problem, OSError):
            raise PerformError(f"cannot remove this file: {problem.strerror}", where=str(file)) from problem
        raise


def write_file(file: Path, content: bytes) -> None:
    """Replace a file whole; where it is a mount of its own, as in containers, in place. Raises PerformError."""
    try:
        write_atomic(file, content, mode=PUBLIC)
    except StateError as problem:
        cause = problem.__cause__
        if not isinstance(cause, OSError) or cause.errno != errno.EBUSY:
            raise PerformError(problem.what, where=problem.where, remedy=problem.remedy) from problem
        try:
            file.write_bytes(content)
        except OSError as inner:
            raise PerformError(f"cannot write this file: {inner.strerror}", where=str(file)) from inner


def _name_in(file: Path) -> str:
    """The first line that is no comment, as systemd reads it."""
    lines = (read_bytes(file, _FILE_BYTES_MAX) or b"").decode().splitlines()
    return next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")


def _set_kernel(name: str) -> None:
    if name == os.uname().nodename:
        return
    try:
        socket.sethostname(name)
    except OSError as problem:
        remedy = "run as root, or give the process CAP_SYS_ADMIN in this UTS namespace"
        raise PerformError(
            f"the kernel refused the hostname {name}: {problem.strerror}",
            where="hostname",
            remedy=remedy if problem.errno == errno.EPERM else "",
        ) from problem
