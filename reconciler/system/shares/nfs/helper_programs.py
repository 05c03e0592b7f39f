"""The two programs that the kernel's NFS server asks: nfsdcld keeps its clients, rpc.mountd knows its exports.

They outlive the process that starts them, as the kernel's threads do, and are found again by their command lines: these
name directories of hagit, which no other program uses. So no file with process numbers can be out of date. Decides when
one is ready and when one has ended. Sources: nfsdcld(8), mountd(8); utils/nfsdcld/nfsdcld.c, utils/mountd/mountd.c.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.system.zfs.tools import PATH, URGENT

PROC: Final = Path("/proc")
CLD: Final = "nfsdcld"
MOUNTD: Final = "rpc.mountd"
#: Programs for Kerberos: one of them answers the kernel where an export has `sec=krb5`.
GSS: Final = ("rpc.svcgssd", "gssproxy")
WATCHED: Final = (CLD, MOUNTD, *GSS)
#: The pipe by which the kernel asks nfsdcld, in rpc_pipefs.
CLD_PIPE: Final = "nfsd/cld"
#: A program that is not ready by then does not become so.
READY_S: Final = 10.0
#: From SIGTERM to SIGKILL.
TERM_S: Final = 2.0
POLL_S: Final = 0.005
#: A longer command line is not one of hagit's.
LINE_BYTES_MAX: Final = 4_096
#: What a program says on its standard error is kept up to this, and shown up to that.
LOG_BYTES_MAX: Final = 1 << 20
LAST_WORDS_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class HelperProgram:
    """One of the two programs: `ready` is part of a name among its open files as soon as it can be asked.

    `mark`: a word of its command line that only hagit uses. `log`: the file for its standard error.
    """

    program: str
    words: tuple[str, ...]
    mark: str
    ready: str
    log: Path


def nfsdcld(storage: Path, pipes: Path, log: Path) -> HelperProgram:
    """Return nfsdcld with its database in this directory."""
    words = ("-F", "-p", str(pipes), "-s", str(storage))
    return HelperProgram(CLD, words, str(storage), "inotify", log)


def mountd(state: Path, log: Path, *, version_3: bool) -> HelperProgram:
    """Return rpc.mountd with the table of exports in this directory. Without version 3 it opens no port."""
    words = ("-F", "-s", str(state), "-N", "2", *(() if version_3 else ("-N", "3")))
    return HelperProgram(MOUNTD, words, str(state), "nfsd.fh/channel", log)


def location(program: str) -> str | None:
    """Return the path of a program, None if it is not installed."""
    return shutil.which(program, path=PATH)


@dataclass(frozen=True, slots=True)
class ProgramProcesses:
    """The command lines of all processes of `WATCHED` programs, by process id, also of those that are not ours."""

    lines: Mapping[int, tuple[str, ...]]

    def of(self, program: str) -> list[int]:
        """Return the processes of a program."""
        return sorted(pid for pid, line in self.lines.items() if _base(line[0]) == program)

    def ours(self, helper: HelperProgram) -> list[int]:
        """Return the processes of this program that hagit started, whatever their options."""
        return [pid for pid in self.of(helper.program) if helper.mark in self.lines[pid]]

    def others(self, helper: HelperProgram) -> list[int]:
        """Return the processes of this program that hagit did not start."""
        return [pid for pid in self.of(helper.program) if helper.mark not in self.lines[pid]]

    def alive(self, helper: HelperProgram) -> int | None:
        """Return the process id of this program with exactly these options, None if there is none."""
        return next((pid for pid in self.of(helper.program) if self.lines[pid][1:] == helper.words), None)


def processes() -> ProgramProcesses:
    """Look at all processes once."""
    found = {}
    for name in os.listdir(PROC):
        if name.isdigit():
            try:
                handle = os.open(f"{PROC}/{name}/cmdline", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                # A process that has ended has no command line any more.
                data = os.read(handle, LINE_BYTES_MAX)
            except OSError:
                data = b""
            finally:
                os.close(handle)
            line = tuple(word.decode(errors="replace") for word in data.split(b"\0")[:-1])
            if line and _base(line[0]) in WATCHED:
                found[int(name)] = line
    return ProgramProcesses(found)


def has_open(pid: int, part: str) -> bool:
    """Whether the process has a file open whose name has this part."""
    with contextlib.suppress(OSError):
        for entry in (PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                if part in str(entry.readlink()):
                    return True
    return False


def ensure(helper: HelperProgram) -> str:
    """Start the program unless it runs with these options. Returns the problem, or ""."""
    if processes().alive(helper) is not None:
        return ""
    end(helper)
    path = location(helper.program)
    if path is None:
        return f"the program {helper.program} is missing"
    log = str(helper.log)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    quiet = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1)]
    try:
        pid = os.posix_spawn(
            path,
            (path, *helper.words),
            {"PATH": PATH, "LC_ALL": "C"},
            file_actions=[*quiet, (os.POSIX_SPAWN_OPEN, 2, log, flags, 0o600)],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE),
        )
    except OSError as error:
        return f"{helper.program} cannot be started: {error.strerror}"
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, URGENT)
    end_s = time.monotonic() + READY_S
    while not has_open(pid, helper.ready):
        if _reap(pid):
            return f"{helper.program} ended at once: {last_words(helper)}"
        if time.monotonic() > end_s:
            return f"{helper.program} was not ready within {READY_S:g} s: {last_words(helper)}"
        time.sleep(POLL_S)
    return ""


def end(helper: HelperProgram) -> bool:
    """End every process of this program that hagit started. Returns whether all have ended."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        waiting = set(processes().ours(helper))
        for pid in waiting:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        end_s = time.monotonic() + TERM_S
        while waiting and time.monotonic() < end_s:
            waiting = {pid for pid in waiting if not _ended(pid)}
            if waiting:
                time.sleep(POLL_S)
        if not waiting:
            return True
    return False


def last_words(helper: HelperProgram) -> str:
    """Return the end of what the program said."""
    try:
        with helper.log.open("rb") as file:
            file.seek(max(0, helper.log.stat().st_size - LAST_WORDS_MAX))
            return " ".join(file.read(LAST_WORDS_MAX).decode(errors="replace").split()) or "it said nothing"
    except OSError:
        return "it said nothing"


def trim_log(helper: HelperProgram) -> None:
    """Empty a file of words that has become large; the program appends, so it goes on writing at its start."""
    with contextlib.suppress(OSError):
        if helper.log.stat().st_size > LOG_BYTES_MAX:
            os.truncate(helper.log, 0)


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _ended(pid: int) -> bool:
    if _reap(pid):
        return True
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in ("Z", "X")


def _reap(pid: int) -> bool:
    """Whether it was our child and has ended: then its process id may be given to another process."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False
