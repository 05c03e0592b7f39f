"""One emulated machine: a QEMU process, its cables, its monitor and the agent inside that runs commands.

Decides how a machine starts. A machine always ends: with `close`, with the program that started it, or when its kernel
stops. Emulation is pure software (`-accel tcg`), so it works wherever programs run. The guest sees the host's files
only through read-only shares and has no network except its cables. Does not know which test uses the machine.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.channel import Channel, ChannelError
from tests.lab.exit_stack import Closing
from tests.lab.image import Image

#: From QEMU's start to the agent's first message; a machine that shares its processors may need much of it.
BOOT_S = 120
#: Lines of the console to show when a machine ends unexpectedly: a whole panic.
CONSOLE_LINES = 60
#: Longest wait for an answer of the monitor.
MONITOR_S = 20
KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check nokaslr random.trust_cpu=on"
    " cryptomgr.notests rcupdate.rcu_expedited=1 audit=0 selinux=0 apparmor=0 net.ifnames=0"
)
#: The guest's clock counts its instructions; QEMU allows that with one thread only.
STEADY = ("-accel", "tcg,thread=single", "-icount", "shift=1,sleep=on")
#: Speed and duplex that a virtio NIC reports: without them the kernel keeps it out of an LACP aggregate.
SPEED = "speed=10000,duplex=full"


class MachineError(Exception):
    """A machine did not start, ended, or does not answer."""


class CommandFailed(MachineError):
    """A command ended with a status other than 0; the message shows what it printed."""


@dataclass(frozen=True, slots=True)
class Nic:
    """A virtio NIC, `eth0`, `eth1`... in the order given. All NICs of one machine on one hub share a cable.

    `slot` is its PCI address, such as `3b:00.1`, on an additional bus of the machine; those NICs come last. `tap` is a
    TAP device of the host in place of the hub: the other end of this NIC's own cable.
    """

    hub: int
    mac: str
    slot: str = ""
    tap: str = ""


#: Four NICs on two cables: eth0 and eth1 face eth2 and eth3, so that a bond of two finds a partner of two.
CROSSED_NICS = tuple(Nic(hub=number % 2, mac=f"02:00:00:00:1a:0{number}") for number in range(4))


@dataclass(frozen=True, slots=True)
class Share:
    """A directory of the host that the guest has at the same place, read-only.

    With `at`, a place in the guest, the guest can write it: for files that must survive the machine.
    """

    path: Path
    at: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """Output and exit status of a command; `late` if the timeout ended it."""

    status: int
    out: str
    err: str
    late: bool


def project_shares() -> tuple[Share, ...]:
    """Return the shares for running this checkout with this interpreter: the checkout, its venv, its Python."""
    places = [Path(__file__).parents[2], Path(sys.prefix), Path(sys.base_prefix)]
    chosen: list[Path] = [Path("/usr")]
    for place in places:
        if not any(place.is_relative_to(other) for other in chosen):
            chosen.append(place)
    return tuple(Share(path) for path in chosen[1:])


class Machine(Closing):
    """A machine that runs from `start()` to `close()`; also a context manager that does both."""

    def __init__(
        self,
        image: Image,
        directory: Path,
        *,
        nics: Sequence[Nic] = (),
        shares: Sequence[Share] = (),
        memory_mib: int = 512,
        serial: str = "",
        devices: Sequence[str] = (),
        within: Sequence[str] = (),
        name: str = "lab",
        steady: bool = False,
        ordered: bool = False,
        shell: bool = False,
        trees: Sequence[Path] = (),
    ) -> None:
        """`directory` takes the console's log. `serial` is the machine's serial number in its firmware.

        `devices` are further QEMU arguments, for disks and the like; `within` is the start of a command line that runs
        QEMU elsewhere, such as in a network namespace; `name` is the host's name, letters and digits.

        `steady`: the guest's clock counts its instructions, two nanoseconds each, and real time only while it is idle.
        A host that is too busy makes such a guest slow, but the guest never finds that time has been lost.

        `ordered`: the guest's memory barriers and locked instructions are real ones; QEMU otherwise makes them real
        only where a second processor is possible. Without it a virtio device under load may miss a notification and
        stop forever.

        `shell` puts a shell of the guest on this terminal; the log is then empty.

        `trees` are directories of the host with installed software: their `usr` is laid over the guest's, later ones
        over earlier ones, their `etc` copied into it. systemd is then the first process, and a service in one of the
        trees must run `/lab/agent.py`.
        """
        self.log = directory / "console.log"
        self._image, self._nics, self._shares, self._shell = image, tuple(nics), tuple(shares), shell
        self._memory_mib, self._serial, self._devices = memory_mib, serial, tuple(devices)
        self._within, self.name, self._steady, self._trees = tuple(within), name, steady, tuple(trees)
        self._ordered = ordered
        self._process: subprocess.Popen[bytes] | None = None
        self._results: dict[int, list[dict[str, Any]]] = {}
        self._numbers = 0

    def enter(self) -> None:
        """See `start`."""
        self.start()

    @property
    def pid(self) -> int:
        """The process id of QEMU."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Boot and mount the shares. Returns when commands can run. Raises MachineError."""
        self.launch()
        self.ready()

    def launch(self) -> None:
        """Switch it on. `ready` must follow. The calling thread must live as long as the machine."""
        monitor, far_monitor = socket.socketpair()
        agent, far_agent = socket.socketpair()
        self._monitor, self._agent = Channel(monitor), Channel(agent)
        with far_monitor, far_agent, self.log.open("wb") as log:
            arguments = self._arguments(far_monitor.fileno(), far_agent.fileno())
            # setpriv(1): the kernel ends QEMU when this process ends, however it ends.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self._within, *arguments],
                pass_fds=(far_monitor.fileno(), far_agent.fileno()),
                stdin=None if self._shell else subprocess.DEVNULL,
                stdout=None if self._shell else log,
                stderr=None if self._shell else log,
                start_new_session=not self._shell,
            )

    def ready(self) -> None:
        """Wait until commands can run, and mount the shares. Raises MachineError."""
        try:
            self._monitor.receive(MONITOR_S)
            self.monitor("qmp_capabilities")
            hello = self._agent.receive(BOOT_S)
        except ChannelError as error:
            raise MachineError(f"the machine did not start: {error}\n{self._console()}") from None
        assert "hello" in hello, hello
        for number, share in enumerate(self._shares):
            place = shlex.quote(share.at or str(share.path))
            how = "rw,cache=none" if share.at else "ro,cache=loose"
            options = f"{how},trans=virtio,version=9p2000.L,msize=262144"
            mount = f"mkdir -p {place} && mount -t 9p -o {options} share{number} {place}"
            # A service manager has already mounted some of them.
            self.check(f"mountpoint -q {place} || {{ {mount}; }}" if self._trees else mount)

    @property
    def on(self) -> bool:
        """Whether it runs: a machine that resets itself goes off (`-no-reboot`)."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Cut the power. A second call is no error."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        self._monitor.close()
        self._agent.close()

    def monitor(self, command: str, **arguments: Any) -> Any:
        """Run one command of QEMU's machine protocol and return its answer."""
        self._monitor.send({"execute": command, "arguments": arguments})
        while True:
            answer = self._monitor.receive(MONITOR_S)
            if "error" in answer:
                raise MachineError(f"QEMU refuses {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def cable(self, hub: int, *, plugged: bool) -> None:
        """Plug or unplug a cable: every NIC on this hub gains or loses its carrier."""
        for number, nic in enumerate(self._nics):
            if nic.hub == hub:
                self.monitor("set_link", name=f"nic{number}", up=plugged)

    def send(self, command: str, timeout_s: float = 60) -> int:
        """Start a shell command in the guest; `result` waits for it. Several may run at once."""
        self._numbers += 1
        self._results[self._numbers] = []
        self._agent.send({"id": self._numbers, "command": command, "timeout_s": timeout_s})
        return self._numbers

    def result(self, number: int, timeout_s: float = 60) -> Finished:
        """Wait for a command. Raises MachineError if the guest is silent for `timeout_s` and a little more."""
        parts = self._results[number]
        deadline_s = time.monotonic() + timeout_s + MONITOR_S
        while not parts or "status" not in parts[-1]:
            try:
                message = self._agent.receive(deadline_s - time.monotonic())
            except ChannelError as error:
                raise MachineError(f"no answer from the machine: {error}\n{self._console()}") from None
            self._results[message["id"]].append(message)
        del self._results[number]
        out, err = ("".join(part.get(name, "") for part in parts) for name in ("out", "err"))
        return Finished(parts[-1]["status"], out, err, parts[-1]["late"])

    def run(self, command: str, timeout_s: float = 60) -> Finished:
        """Run a shell command in the guest to its end, for at most `timeout_s`."""
        return self.result(self.send(command, timeout_s), timeout_s)

    def check(self, command: str, timeout_s: float = 60) -> str:
        """Return what a command printed. Raises CommandFailed if it did not end with status 0 in time."""
        done = self.run(command, timeout_s)
        if done.status != 0:
            how = f"was ended after {timeout_s:g} s" if done.late else f"ended with status {done.status}"
            raise CommandFailed(f"`{command}` {how}\n{done.out}{done.err}")
        return done.out

    def until(self, condition: str, timeout_s: float = 30) -> None:
        """Wait until a shell command in the guest ends with status 0. Raises CommandFailed if it does not in time."""
        self.check(f"until {condition}; do sleep 0.1; done", timeout_s)

    def memory_mib(self) -> int:
        """Return how much of the host's memory QEMU uses now, in MiB."""
        (line,) = [text for text in Path(f"/proc/{self.pid}/status").read_text().splitlines() if "VmRSS" in text]
        return int(line.split()[1]) >> 10

    def _console(self) -> str:
        return "" if self._shell else "\n".join(self.log.read_text(errors="replace").splitlines()[-CONSOLE_LINES:])

    def _arguments(self, monitor: int, agent: int) -> list[str]:
        words = f"{KERNEL_ARGUMENTS} lab.name={self.name}" + (" lab.shell" if self._shell else "")
        names = [f"tree{number}" for number in range(len(self._trees))]
        words += f" lab.trees={','.join(names)}" if names else ""
        arguments = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-M", "q35", "-cpu", "max",
            *(STEADY if self._steady else ("-accel", "tcg,thread=multi")),
            "-smp", "1,maxcpus=2" if self._ordered else "1", "-m", str(self._memory_mib), "-no-reboot",
            "-kernel", str(self._image.kernel), "-initrd", str(self._image.initrd), "-append", words,
            "-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control",
            "-chardev", f"socket,id=agent,fd={agent}",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=lab.agent",
            "-chardev", f"stdio,id=console,signal=off,mux={'on' if self._shell else 'off'}",
            "-serial", "chardev:console",
            "-device", "virtio-rng-pci", "-smbios", f"type=1,serial={self._serial}",
        ]  # fmt: skip
        tags = [("usr", Share(Path("/usr"))), *((f"share{n}", share) for n, share in enumerate(self._shares))]
        tags += [(name, Share(tree)) for name, tree in zip(names, self._trees, strict=True)]
        for tag, share in tags:
            # A comma separates options of QEMU; a doubled comma is a literal one.
            place = str(share.path).replace(",", ",,")
            how = f"security_model=none,readonly={'off' if share.at else 'on'},multidevs=remap"
            arguments += ["-virtfs", f"local,path={place},mount_tag={tag},{how}"]
        for number, nic in enumerate(self._nics):
            cable = f"tap,ifname={nic.tap},script=no,downscript=no,vhost=off" if nic.tap else f"hubport,hubid={nic.hub}"
            arguments += ["-netdev", f"{cable},id=net{number}"]
            device = f"virtio-net-pci,netdev=net{number},id=nic{number},mac={nic.mac},romfile=,{SPEED}"
            if nic.slot:
                bus, _, address = nic.slot.partition(":")
                # The firmware gives the bus behind a root port the number after the port's own.
                host = f"pxb-pcie,id=host{bus},bus_nr={int(bus, 16) - 1},bus=pcie.0"
                port = f"pcie-root-port,id=port{bus},bus=host{bus},chassis={int(bus, 16)}"
                arguments += [] if host in arguments else ["-device", host, "-device", port]
                device += f",bus=port{bus},addr={address},multifunction=on"
            arguments += ["-device", device]
        return [*arguments, *self._devices]
