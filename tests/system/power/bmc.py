"""A BMC: OpenIPMI's ipmi_sim, real IPMI over UDP on the loopback of a namespace, for the real fence_ipmilan.

What it switches is a process: the machine is on while that runs. `asked` is every change that was asked for: "1" on,
"0" off.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Final

USER: Final = "hagit"
PASSWORD: Final = "Vixen-4711"
DEADLINE_S: Final = 30.0
#: In a shell: whether the machine is on, where one whose process is a zombie is off; and how its power is cut.
POWER: Final = """\
on() { grep -qs '^State:[[:space:]]*[RSDT]' "/proc/$(cat machine)/status"; }
cut() {
    if on; then kill "$(cat machine)"; fi
    while on; do sleep 0.02; done
}"""
#: ipmi_lan(5), chassis_control: called with `get power`, or `set power 0`.
CHASSIS: Final = """\
#!/bin/sh
cd '{root}'
{power}
case "$1 $2" in
    "get power") if on; then echo power:1; else echo power:0; fi ;;
    "set power") echo "$3" >> asked
        if [ "$3" = 0 ]; then cut; fi ;;
esac
"""
CONFIGURATION: Final = """\
name "bmc"
set_working_mc 0x20
startlan 1
  addr 127.0.0.1 {port}
  priv_limit admin
  allowed_auths_callback md5
  allowed_auths_user md5
  allowed_auths_operator md5
  allowed_auths_admin md5
  guid a123456789abcdefa123456789abcdef
endlan
chassis_control "{root}/chassis"
user 2 true "{user}" "{password}" admin 10 md5
"""
MACHINE: Final = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
mc_enable 0x20
"""


def free_port() -> int:
    """A port of UDP that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Switch:
    """What it switches, and what was asked of it: files in one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "asked").touch()
        self.switches(0)

    def switches(self, pid: int) -> None:
        """The process that is the machine."""
        made = self.root / ".machine"
        made.write_text(str(pid))
        made.replace(self.root / "machine")

    @property
    def asked(self) -> list[str]:
        """Every change, one after the other."""
        return (self.root / "asked").read_text().split()

    def confide(self, name: str, word: str) -> Path:
        """A file with a secret."""
        path = self.root / name
        path.write_text(word + "\n")
        path.chmod(0o600)
        return path


class Bmc(Switch):
    """One running BMC. `enter`: a command line in front of its own, to run it in a namespace."""

    def __init__(self, root: Path, enter: tuple[str, ...] = ()) -> None:
        super().__init__(root)
        self.port = free_port()
        (root / "bmc.conf").write_text(
            CONFIGURATION.format(port=self.port, root=root, user=USER, password=PASSWORD), encoding="ascii"
        )
        (root / "bmc.emu").write_text(MACHINE, encoding="ascii")
        (root / "chassis").write_text(CHASSIS.format(root=root, power=POWER), encoding="ascii")
        (root / "chassis").chmod(0o755)
        self.password = self.confide("password", PASSWORD)
        self._enter = enter
        argv = ["ipmi_sim", "-c", "bmc.conf", "-f", "bmc.emu", "-s", "state", "-n"]
        with (root / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*enter, *argv], cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_until_it_answers()

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """Options of fence_ipmilan to reach it, without the password."""
        return (
            ("cipher", "3"), ("ip", "127.0.0.1"), ("ipport", str(self.port)), ("lanplus", "1"), ("power_wait", "0"),
            ("username", USER),
        )  # fmt: skip

    def close(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)

    def _wait_until_it_answers(self) -> None:
        end_s, pause = time.monotonic() + DEADLINE_S, threading.Event()
        argv = ["ipmitool", "-I", "lan", "-H", "127.0.0.1", "-p", str(self.port), "-U", USER, "-f", str(self.password)]
        while subprocess.run(
            [*self._enter, *argv, "-R", "1", "-N", "1", "mc", "info"], capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < end_s, (self.root / "log").read_text()
            assert self._process.poll() is None, (self.root / "log").read_text()
            pause.wait(0.1)
