"""The pair of `pair.py` as a user has it: on each controller the installed package is run by a systemd of its own.

Decides how a controller is a system: namespaces of processes, mounts and control groups in its network namespace, the
host's /usr with the package laid over it, an /etc of its own. A reset ends all of it. Shelf and deadman: see `pair`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.status.watchdog import WatchdogStatus, watchdog_from_document
from tests.debian import UNITS, WATCHDOG, quiet
from tests.wait import DEADLINE_S, until
from tests.watchdog.pair import Head, Pair

BOX: Final = Path(__file__).with_name("box.sh")
#: What is slow on a busy machine must not be taken for what hangs.
PATIENT_UNIT: Final = "[Service]\nWatchdogSec=60\nTimeoutStopSec=60\n"


@dataclass(slots=True)
class SystemdHead(Head):
    """One controller. `installed`: the root with the package. `manager`: the process that holds its systemd."""

    installed: Path = Path()
    manager: subprocess.Popen[bytes] | None = None

    @property
    def off(self) -> str:
        """A reset ends every process, too."""
        number = self.root / "manager"
        # Not super(): a dataclass with slots is another class than the one that this method was written in.
        return f"kill -KILL $(cat '{number}'); rm -f '{number}' '{self.run}/watchdog.json'; {Head.off.fget(self)}"  # type: ignore[attr-defined]

    def prepare(self) -> None:
        """As the other pair's, but /run/hagit is where it is by default."""
        Head.prepare(self)
        self.node.write_text(self.node.read_text().replace(f'run = "{self.run}"\n', ""))

    def start(self) -> None:
        """Its system boots, and its service manager starts the daemon."""
        if self.manager is not None:
            self.manager.wait(DEADLINE_S)
        own, empty = self.root / "own", self.root / "system"
        if not own.exists():
            quiet(own)
            empty.mkdir()
            drop_in = own / UNITS / f"{WATCHDOG}.d"
            drop_in.mkdir()
            (drop_in / "tests.conf").write_text(PATIENT_UNIT)
            (own / "etc/hostname").write_text("left\n" if self.side.value == "a" else "right\n")
            (own / "etc/machine-id").write_text(self.side.value * 32 + "\n")
        over = [self.installed / "usr", self.installed / "etc", own / "etc", "--"]
        places = [
            self.root,
            "/etc/hagit",
            self.shelf.parent,
            self.shelf.parent,
            self.run,
            "/run/hagit",
        ]
        namespaces = ["--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup"]
        words = ["unshare", *namespaces, "sh", str(BOX), str(empty), *map(str, over), *map(str, places)]
        with self.log.open("ab") as log:
            self.manager = subprocess.Popen(self.room.enter(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        (self.root / "manager").write_text(str(self.manager.pid))
        self.starts += 1

    @property
    def first(self) -> int:
        """Its first process."""
        assert self.manager is not None
        return int(Path(f"/proc/{self.manager.pid}/task/{self.manager.pid}/children").read_text())

    def inside(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command in that system."""
        enter = ["nsenter", f"--target={self.first}", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--"]
        return subprocess.run([*enter, *words], capture_output=True, text=True, timeout=DEADLINE_S)

    def systemctl(self, *words: str) -> str:
        """What the service manager answers."""
        done = self.inside("systemctl", *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.logs()}"
        return done.stdout.strip()

    def property(self, name: str, unit: str = WATCHDOG) -> str:
        """What the service manager knows of a unit."""
        return self.systemctl("show", "--property", name, "--value", unit)

    def status(self) -> WatchdogStatus | None:
        """What a daemon of its present boot published last."""
        if self.manager is None or self.manager.poll() is not None:
            return None
        with contextlib.suppress(FileNotFoundError):
            status = watchdog_from_document(json.loads((self.run / "watchdog.json").read_bytes()))
            assert isinstance(status, WatchdogStatus), status
            return status
        return None

    def signal(self, number: int) -> None:
        """A signal to the daemon."""
        self.systemctl("kill", "--kill-who=main", f"--signal={number}", WATCHDOG)

    def until_down(self) -> None:
        """Waits until its system has ended by itself, and switches it off."""
        until(lambda: self.manager is not None and self.manager.poll() is not None, self.logs)
        self.pull_the_plug()

    def close(self) -> None:
        if self.manager is not None:
            self.manager.kill()
            self.manager.wait(DEADLINE_S)
        Head.close(self)


class SystemdPair(Pair):
    """Both controllers, still off."""

    kind = SystemdHead

    def __init__(self, root: Path, orders: Orders, installed: Path) -> None:
        super().__init__(root, orders)
        for letter in ("a", "b"):
            self.serviced(letter).installed = installed

    def serviced(self, letter: str) -> SystemdHead:
        """One of them."""
        head = self.head(letter)
        assert isinstance(head, SystemdHead)
        return head
