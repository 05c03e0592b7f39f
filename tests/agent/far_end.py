"""The other end of a controller's cables: hosts in a network namespace of their own that answer it."""

from __future__ import annotations

import subprocess

from reconciler.demo.testbed import Machine
from tests.controller import Controller
from tests.wait import DEADLINE_S


class FarEnd:
    """Holds the far ends of NICs of a controller; each has the addresses that the test gives it."""

    def __init__(self, controller: Controller, **addresses: str) -> None:
        holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up; echo ready; exec cat >/dev/null"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert holder.stdout is not None and holder.stdout.readline() == b"ready\n"
        self.machine = Machine("far", holder)
        for nic, address in addresses.items():
            controller.ip(f"link set {nic}-far netns {holder.pid}")
            self.ip(
                f"link set {nic}-far addrgenmode none up", *(f"address add {one} dev {nic}-far" for one in [address])
            )

    def ip(self, *commands: str) -> None:
        """Commands of ip(8) there."""
        subprocess.run(
            self.machine.enter(["ip", "-batch", "-"]),
            input="\n".join(commands),
            text=True,
            check=True,
            timeout=DEADLINE_S,
        )

    def close(self) -> None:
        """End the namespace, and its NICs with it."""
        for stream in (self.machine.holder.stdin, self.machine.holder.stdout):
            assert stream is not None
            stream.close()
        self.machine.holder.wait(DEADLINE_S)
