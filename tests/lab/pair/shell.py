"""`make lab-shell`: the emulated pair with a pool and running daemons, and a prompt to use it and to inject faults.

    python -m tests.lab.pair.shell [installed]

`installed`: both controllers under systemd with the package of this checkout; otherwise with a small init and the
checkout itself. `help` lists the commands. Everything ends with the prompt.
"""

from __future__ import annotations

import cmd
import contextlib
import os
import select
import shlex
import socket
import subprocess
import sys
import tempfile
import termios
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.lab.image import ImageError, image
from tests.lab.machine import MachineError
from tests.lab.pair.emulated_pair import VIRTUAL, EmulatedPair
from tests.lab.pair.head import NETWORKS, Head
from tests.lab.pair.installed_pair import InstalledHead, InstalledPair
from tests.lab.target import TargetError

#: Ends a console, as in telnet(1): Ctrl-].
LEAVE: Final = b"\x1d"
#: Longest time for one command in a machine.
COMMAND_S: Final = 600
#: A shell on the machine's second console; it starts again after `exit`.
SHELL: Final = "while :; do {environment} setsid -c bash --norc < /dev/hvc0 > /dev/hvc0 2>&1; done"
INTRODUCTION: Final = f"""
Two controllers, `a` and `b`, and a client of {VIRTUAL}. `help` lists what there is; for a start:

    status                     who is active, and why
    client ping -c3 {VIRTUAL}
    a                          a shell there; Ctrl-] leaves it (b, client: likewise)
    cut a                      its power; then: status, timeline b, boot a, verify
"""


class Consoled(Head):
    """A controller with a second console, on a socket of the host."""

    def besides(self, place: Path) -> tuple[str, ...]:
        """Return a virtio console, /dev/hvc0 in the machine."""
        self.console = place / f"{self.side.value}.console"
        return (
            "-chardev", f"socket,id=second,path={self.console},server=on,wait=off",
            "-device", "virtconsole,chardev=second",
        )  # fmt: skip

    @property
    def terminal(self) -> str:
        """Return the environment for a shell there."""
        return f"HOME=/root TERM=linux PS1='{self.side.value}:\\w# '"

    @property
    def environment(self) -> str:
        """Return the environment that makes `hagit` run this checkout for this controller."""
        path = f"{sys.prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
        return f"env {self._environment} PATH={path} HAGIT_NODE=/root/node.toml {self.terminal}"

    def ready(self) -> None:
        """Wait for the shell on the console, too."""
        super().ready()
        self.machine.send(SHELL.format(environment=self.environment), 1e6)


class ConsoledInstalled(Consoled, InstalledHead):
    """The same with the package installed."""

    @property
    def environment(self) -> str:
        return f"env {self.terminal}"


@contextlib.contextmanager
def raw() -> Iterator[None]:
    """Pass every key of the terminal on unchanged; does nothing on a pipe."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def connect(console: Path, rows: int, columns: int) -> None:
    """Connect this terminal to that console until Ctrl-], or until the machine is off."""
    with socket.socket(socket.AF_UNIX) as line, raw():
        line.connect(str(console))
        # Ctrl-U clears a half-typed line there; then set the size of this terminal.
        line.sendall(b"\x15 stty rows %d columns %d\r" % (rows, columns))
        while True:
            for ready in select.select([0, line], [], [])[0]:
                data = os.read(0, 4_096) if ready == 0 else line.recv(65_536)
                if not data or (ready == 0 and LEAVE in data):
                    return
                if ready == 0:
                    line.sendall(data)
                else:
                    os.write(1, data)


class Prompt(cmd.Cmd):
    """The commands; each of its `do_` methods is one, and its docstring the help."""

    prompt = "lab> "

    def __init__(self, pair: EmulatedPair) -> None:
        super().__init__()
        self._pair = pair

    def run(self) -> None:
        """Run until `exit`. Ctrl-C drops a half-typed line."""
        introduction = INTRODUCTION
        while True:
            try:
                return self.cmdloop(introduction)
            except KeyboardInterrupt:
                print()
                introduction = ""

    def onecmd(self, line: str) -> bool:
        """Run one command. An error is printed and ends nothing."""
        try:
            return bool(super().onecmd(line))
        except KeyboardInterrupt:
            print("\ninterrupted")
        except (MachineError, AssertionError, OSError, ValueError) as problem:
            print(f"lab: {problem}")
        return False

    def emptyline(self) -> bool:
        """Do nothing on an empty line."""
        return False

    def default(self, line: str) -> None:
        """Print the list of commands."""
        print(f"lab: no command {line.split()[0]!r}; `help` lists them")

    def do_help(self, arg: str) -> None:
        """help: this list"""
        for name in sorted(name for name in dir(self) if name.startswith("do_") and name != "do_EOF"):
            print(f"  {getattr(self, name).__doc__}")

    def _head(self, word: str) -> Head:
        for head in self._pair.heads:
            if word == head.side.value:
                return head
        raise ValueError(f"say which controller: a or b, not {word!r}")

    def _inside(self, head: Head, command: str) -> None:
        assert isinstance(head, Consoled)
        if not head.on:
            print(f"{head.side} is off: `boot {head.side}`")
        elif command:
            done = head.machine.run(f"{head.environment} sh -c {shlex.quote(command)}", COMMAND_S)
            print(done.out + done.err, end="")
            if done.status:
                print(f"exit status {done.status}")
        else:
            print(f"a shell of {head.side}; Ctrl-] leaves it")
            columns, rows = os.get_terminal_size() if sys.stdin.isatty() else (80, 24)
            connect(head.console, rows, columns)
            print()

    def do_a(self, arg: str) -> None:
        """a [COMMAND]: a command in controller a, or a shell there"""
        self._inside(self._pair.a, arg)

    def do_b(self, arg: str) -> None:
        """b [COMMAND]: the same in b"""
        self._inside(self._pair.b, arg)

    def do_client(self, arg: str) -> None:
        """client [COMMAND]: a command on the client's network, or a shell there"""
        argv = ["sh", "-c", arg] if arg else ["bash", "--norc"]
        subprocess.run(self._pair.within(*argv), env={**os.environ, "PS1": "client# "})

    def do_status(self, arg: str) -> None:
        """status: what both daemons say"""
        for head in self._pair.heads:
            status = head.status()
            if status is None:
                print(f"  {head.side}  {'on, its daemon says nothing' if head.on else 'off'}")
                continue
            pools = " ".join(head.pools()) or "none"
            print(f"  {head.side}  {status.phase}, {status.verdict}; pools: {pools}; {status.why}")
            for reason in status.reasons:
                print(f"       {reason.code}: {reason.text}")

    def do_timeline(self, arg: str) -> None:
        """timeline a: what its timeline says of its last failover"""
        head = self._head(arg)
        events = head.events()
        starts = [number for number, event in enumerate(events) if event.since_ms == 0]
        self._pair.tell(head, starts[-1] if starts else 0)

    def do_console(self, arg: str) -> None:
        """console a: the end of what its kernel and its services have said"""
        print(self._head(arg).journal())

    def do_cut(self, arg: str) -> None:
        """cut a: its power is gone"""
        self._head(arg).pull_the_plug()

    def do_boot(self, arg: str) -> None:
        """boot a: its power is back, and its daemon starts"""
        head = self._head(arg)
        if head.on:
            raise ValueError(f"{arg} is on: `cut {arg}` first")
        self._pair.boot(head)

    def do_freeze(self, arg: str) -> None:
        """freeze a: none of its processors runs, nor its deadman"""
        self._head(arg).freeze()

    def do_wake(self, arg: str) -> None:
        """wake a: it goes on where it was"""
        self._head(arg).wake()

    def do_kill(self, arg: str) -> None:
        """kill a [SIGNAL]: a signal to its daemon, KILL unless said otherwise"""
        which, _, signal = arg.partition(" ")
        self._head(which).daemon(signal or "KILL")

    def do_unplug(self, arg: str) -> None:
        """unplug a disk0: one disk is gone from this controller; `cut` and `boot` bring it back"""
        which, _, disk = arg.partition(" ")
        self._head(which).unplug(disk)

    def do_cable(self, arg: str) -> None:
        """cable a link0 out|in: pulls one cable, or puts it back (net0, link0, net1, net2)"""
        match arg.split():
            case [which, name, "out" | "in" as way] if name in NETWORKS:
                self._head(which).cable(NETWORKS.index(name), plugged=way == "in")
            case _:
                raise ValueError("say: cable a link0 out")

    def do_networks(self, arg: str) -> None:
        """networks off|on: whether the controllers hear anything of one another"""
        if arg not in ("off", "on"):
            raise ValueError("say: networks off, or networks on")
        self._pair.networks(up=arg == "on")

    def do_write(self, arg: str) -> None:
        """write: a writer on the active controller, whose acknowledged records are remembered"""
        self._pair.write(self._pair.active())

    def do_verify(self, arg: str) -> None:
        """verify: one active, one import, every disk reserved, every acknowledged record there, a clean scrub"""
        self._pair.verify()

    def do_exit(self, arg: str) -> bool:
        """exit: ends everything"""
        return True

    def do_EOF(self, arg: str) -> bool:  # noqa: N802
        print()
        return True


def main() -> int:
    """See the module."""
    installed = sys.argv[1:] == ["installed"]
    try:
        built = image(progress=lambda text: print(text, file=sys.stderr, flush=True), storage=True)
        with tempfile.TemporaryDirectory(prefix="hagit-lab-") as name:
            place = Path(name)

            def say(text: str) -> None:
                print(text, flush=True)

            pair = (
                InstalledPair(built, place, say, kind=ConsoledInstalled)
                if installed
                else EmulatedPair(built, place, say, kind=Consoled)
            )
            with pair:
                Prompt(pair).run()
    except (ImageError, MachineError, TargetError, AssertionError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
