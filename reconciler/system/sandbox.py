"""Confine this process before it reads what strangers wrote: limits on memory, time and file size, no privileges, and
the file system closed but for what is named.

Uses setrlimit(2), PR_SET_NO_NEW_PRIVS, an empty set of capabilities (capabilities(7)) and Landlock (landlock(7)), each
as far as the kernel knows it. There is no way back: it is for a child that ends after one task. A system-call filter is
left out: it needs a list of calls for each architecture and libc, and Landlock closes files, TCP and signals.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
# linux/prctl.h, linux/capability.h
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITIES_MAX: Final = 64
_CAPABILITY_VERSION_3: Final = 0x20080522
DAC_READ_SEARCH: Final = 2
# linux/landlock.h; the numbers of the calls are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1
_READ: Final = 1 << 0 | 1 << 2 | 1 << 3  # execute, read files, read directories
_FILE: Final = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # the rights that a rule for a file may have
#: The rights of each version of the interface: how many bits of access_fs it knows.
_FS_BITS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_FS_BITS_NEWEST: Final = 16
_TCP: Final = 0b11  # bind, connect
_SCOPES: Final = 0b11  # abstract unix sockets, signals


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What one process may use: address space and the largest file in bytes, processor time in seconds."""

    memory_bytes: int
    file_bytes: int
    processor_s: int
    files: int = 256


def limit(limits: ProcessLimits) -> None:
    """Set the limits of this process, lower where the machine's own are lower; it is killed first when memory ends."""
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CPU, limits.processor_s),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def confine(*, readable: Iterable[Path], writable: Iterable[Path], network: bool, keep: Iterable[int] = ()) -> bool:
    """Give up privileges for good, and every file but those beneath the named ones. Abstract sockets and signals to
    other processes go, too, and TCP without `network`, where the kernel can. `keep`: capabilities that stay.

    False: this kernel has no Landlock, so only privileges were given up.
    """
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _drop_capabilities(set(keep))
    version = _LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    if version < 1:
        return False
    handled = (1 << _FS_BITS.get(version, _FS_BITS_NEWEST)) - 1
    attributes = struct.pack("=Q", handled)
    if version >= 4:
        attributes += struct.pack("=Q", 0 if network else _TCP)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = _LIBC.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        for paths, rights in ((readable, _READ), (writable, handled)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        return bool(_LIBC.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """A rule for what is beneath `path`; a path that is not there needs none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = struct.pack("=Qi", rights if path.is_dir() else rights & _FILE, descriptor)
        _LIBC.syscall(_ADD_RULE, ruleset, ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def _drop_capabilities(keep: set[int]) -> None:
    for capability in range(_CAPABILITIES_MAX):
        if capability not in keep:
            _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    # Only what is there may stay: asking for more would be refused as a whole.
    had = _capabilities()
    kept = [capability for capability in keep if had >> capability & 1]
    low = sum(1 << capability for capability in kept if capability < 32)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _LIBC.capset(header, struct.pack("=6I", low, low, 0, 0, 0, 0))


def _capabilities() -> int:
    """The permitted capabilities of this process, as bits; 0 when they cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapPrm:"):
                return int(line.split()[1], 16)
    return 0
