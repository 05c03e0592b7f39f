"""`make lab-demo`: a pair in emulated machines serves NFS and iSCSI to a client, which goes on through failovers.

    python -m tests.lab.pair.demo

A commit adds an export and a target, a client writes to both, the active controller loses its power, boots again, and
hands over. Each step prints what the client saw. Exits with 1 when a step did not end as announced. Removes everything
that it made, however it ends.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reconciler.demo.step_output import COLUMNS, INDENT, StepOutput
from tests.lab.image import ImageError, image
from tests.lab.machine import MachineError
from tests.lab.pair.client_machine import judged, until_served
from tests.lab.pair.emulated_pair import VIRTUAL
from tests.lab.pair.repository_pair import DATASETS, EXPORT, TARGET, RepositoryPair, ShareHead
from tests.lab.pair.served_pair import IQN
from tests.lab.room import RoomError
from tests.lab.target import TargetError

#: Exit status of a command that Ctrl-C ended (128 + SIGINT).
INTERRUPTED: Final = 130
#: Characters of an error that are shown: the state of both controllers may follow it.
ERROR_CHARACTERS: Final = 2_000
ADVICE: Final = (
    "What helps on a host with other work, which stops the machines for seconds: make lab-demo PATIENT=1\n"
    "To look around in such machines by hand: make lab-shell INSTALLED=1"
)


class LabDemo(StepOutput):
    """The steps, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._began_s = time.monotonic()

    def run(self, place: Path) -> None:
        """Run every step, with all files below a directory. Raises AssertionError if one does not end as announced."""
        self.step(
            "A pair in emulated machines",
            "Two controllers with systemd, the package of this checkout, OpenZFS, a hardware watchdog, and four disks "
            "that they share with real reservations; and a client. Both controllers follow a git repository. Its first "
            "commit describes the pair, a pool and these datasets, which the agents make on the empty disks.",
        )
        self.show(DATASETS)
        self.note("")
        with RepositoryPair(image(progress=self.note, storage=True), place, self.note) as pair:
            self._pair = pair
            self._command(self._active(), "zfs list -o name,used,type,mountpoint")
            self._commit()
            self._mount()
            self._power_cut()
            self._boot()
            self._switch_over()
            self._account()

    # Steps -----------------------------------------------------------------------------------------------------------

    def _commit(self) -> None:
        self.step(
            "A commit adds an export and a target",
            "One file more in the repository. Both agents apply it: the active one makes a small dataset for what the "
            "servers know of their clients, and its watchdog serves.",
        )
        shares = f"{EXPORT}---\n{TARGET}"
        self.show(shares)
        began_s = time.monotonic()
        commit = self._pair.commit("shares.yaml", shares, "An export and a target")
        until_served(self._pair, {"nfs": {"home"}, "iscsi": {"vm"}})
        self.note("")
        self.note(f"{commit} is served {time.monotonic() - began_s:.1f} s after the commit", "done")
        self._command(self._active(), "zfs list -o name,used,type,mountpoint tank/hagit-state")
        self._command(self._active(), "hagit status")

    def _mount(self) -> None:
        self.step(
            "A client",
            f"A third machine mounts the export and logs in to the target, both at the virtual address {VIRTUAL}. From "
            "now on three programs write there in each step, one record after the other, and remember each record that "
            "the server acknowledged: `copy` makes copies of files, each followed by fsync(2); `locked` holds a lock "
            "on the file that it writes; `disk` writes to the disk with O_DIRECT and O_DSYNC.",
        )
        guest = self._pair.guest
        self.typed("client", "mount", "-t", "nfs", f"{VIRTUAL}:/srv/home", "/mnt/srv/home")
        export = guest.mount("/srv/home")
        self.typed("client", "iscsiadm", "-m", "node", "-T", IQN, "--login")
        device = guest.log_in(IQN)
        guest.machine.check(f"mkdir {export}/copies")
        guest.places = {
            "copy": ("copy", f"{export}/copies"),
            "locked": ("lock", f"{export}/locked"),
            "disk": ("write", device),
        }
        self._command(self._active(), "hagit clients")

    def _power_cut(self) -> None:
        old = self._active()
        new = self._pair.other(old)
        self.step(
            f"{old.side} loses its power",
            f"In the middle of all three. {new.side} must notice, take the disks, import the pool, serve, and answer "
            "at the virtual address. The programs must go on without an error.",
        )

        def cut() -> None:
            mark = new.mark()
            old.pull_the_plug()
            self._pair.until(
                lambda: any(event.mark == "addresses-up" for event in new.events(mark)), f"{new.side} takes over"
            )

        self._watched(cut)
        self._command(self._active(), "hagit timeline --failovers -n 1")

    def _boot(self) -> None:
        (old,) = [head for head in self._pair.heads if not head.on]
        self.step(f"{old.side} gets power again", "It boots, finds the pool taken, and stands by.")
        began_s = time.monotonic()
        self._pair.boot(old)
        self._pair.well()
        self.note(f"{time.monotonic() - began_s:.1f} s until it could take over", "done")
        self._command(self._active(), "hagit status", lines=1)

    def _switch_over(self) -> None:
        old = self._active()
        self.step(
            "hagit switchover",
            f"By hand, from {old.side} to {self._pair.other(old).side}: addresses go first and come last, nothing "
            "reboots. The same three programs write.",
        )

        def switch_over() -> None:
            self._command(old, "hagit switchover", lines=-1)
            self._pair.well()

        self._watched(switch_over)
        self._command(self._active(), "hagit timeline --failovers -n 1")

    def _account(self) -> None:
        self.step("The account", "The client compared each acknowledged record with what the servers give now.")
        self.note("none: every acknowledged record was there each time, and no program saw an error", "lost")
        self._pair.verify()
        took_s = time.monotonic() - self._began_s
        self.note(f"{took_s:.0f} s; the machines, their disks and the repository are removed now", "took")

    # Output ----------------------------------------------------------------------------------------------------------

    def _active(self) -> ShareHead:
        head = self._pair.active()
        assert isinstance(head, ShareHead)
        return head

    def _command(self, head: ShareHead, line: str, lines: int | None = None) -> None:
        """Print a command line, run it on a controller, and print its output. `lines`: only the first or last ones."""
        self.typed(head.side.value, *line.split())
        width = COLUMNS - 2 * len(INDENT)
        done = head.machine.run(f"COLUMNS={width} NO_COLOR=1 {line}")
        assert done.status == 0, f"`{line}` on {head.side} ended with status {done.status}\n{done.out}{done.err}"
        printed = done.out.rstrip().splitlines()
        chosen = printed if lines is None else printed[:lines] if lines > 0 else printed[lines:]
        self.show("\n".join(f"  {one}" for one in chosen))

    def _watched(self, act: Callable[[], None]) -> None:
        """Do something while the client's programs write; print what each of them saw. Raises AssertionError."""
        with self._pair.guest.writers() as found:
            act()
        judged(found, lambda name, text: self.note(text, f"{name} saw"))


def main() -> int:
    """See the module."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    if os.geteuid() != 0:
        print("lab-demo: network namespaces, disks and packages need root: sudo make lab-demo", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="hagit-lab-demo-") as name:
            LabDemo().run(Path(name))
    except (ImageError, MachineError, TargetError, RoomError, AssertionError) as error:
        text = str(error)
        more = "…" if len(text) > ERROR_CHARACTERS else ""
        print(f"\nThe demonstration failed: {text[:ERROR_CHARACTERS]}{more}\n{ADVICE}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; everything is removed.")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
