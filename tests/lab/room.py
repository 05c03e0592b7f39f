"""A network namespace for shared disks, the machines on them and their networks. Does not know its contents."""

from __future__ import annotations

import subprocess
from typing import Final

#: setpriv(1): the kernel ends a program when this one ends, however it ends.
ENDS_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL", "--")


class RoomError(Exception):
    """This host allows no namespace."""


class Room:
    """One namespace, with its loopback link up; it ends with `close` or with this process."""

    def __init__(self) -> None:
        hold = ("unshare", "--net", "sh", "-c", "ip link set lo up; echo; exec cat")
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [*ENDS_WITH_US, *hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"\n":
            self.close()
            raise RoomError("no network namespace: the lab's shared disks need root")

    @property
    def within(self) -> tuple[str, ...]:
        """Return the start of a command line that runs in the namespace."""
        assert self._process is not None, "closed"
        return ("nsenter", f"--target={self._process.pid}", "--net", "--")

    def close(self) -> None:
        """Remove the namespace. A second call is no error."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
        self._process = None
