"""Many interfaces: the NICs, the desired state that asks for all of them, and the same as lines for ip(8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.demo.testbed import Testbed

MTU: Final = 1400
#: Already so before anything is measured, because ip(8) does not set it.
HOSTNAME: Final = "shelf-a"
_HEAD: Final = """\
apiVersion: hagit/v1
kind: Pair
metadata: {name: shelf}
spec:
  a: {hostname: shelf-a}
  b: {hostname: shelf-b}
"""


@dataclass(frozen=True, slots=True)
class Nic:
    """One of many: its name, MAC, and the two addresses it is to have."""

    number: int

    @property
    def name(self) -> str:
        """As the kernel calls it; the resource has the same name."""
        return f"nic{self.number}"

    @property
    def mac(self) -> str:
        """Locally administered, one for each number."""
        return f"02:00:00:01:{self.number >> 8:02x}:{self.number & 255:02x}"

    @property
    def mark(self) -> str:
        """What hagit writes into its alias."""
        return f"hagit {self.name} CriticalGroup1"

    def addresses(self, controller: str = "a") -> tuple[str, str]:
        """One of each family, every interface in networks of its own."""
        host = 1 if controller == "a" else 2
        network = f"{64 + (self.number >> 8)}.{self.number & 255}"
        return f"10.{network}.{host}/24", f"fd00:0:0:{self.number + 1:x}::{host}/64"

    def half(self, controller: str) -> str:
        """What one controller has, in YAML; `b` is only described."""
        first, second = self.addresses(controller)
        mac = self.mac if controller == "a" else self.mac.replace(":01:", ":02:", 1)
        return f'  {controller}: {{match: {{mac: "{mac}"}}, addresses: ["{first}", "{second}"]}}\n'


def desired(count: int) -> str:
    """YAML that asks for `count` interfaces: up, MTU, mark, two addresses."""
    return _HEAD + "".join(
        f"---\napiVersion: hagit/v1\nkind: Interface\nmetadata: {{name: {nic.name}}}\nspec:\n"
        f"{nic.half('a')}{nic.half('b')}  mtu: {MTU}\n  critical: true\n  failoverGroup: 1\n"
        for nic in map(Nic, range(count))
    )


def changes(count: int) -> str:
    """The same for `ip -batch`, a line for each change. Its release writes no protocol on addresses."""
    return "\n".join(line for nic in map(Nic, range(count)) for line in _changes(nic)) + "\n"


def _changes(nic: Nic) -> Iterator[str]:
    yield f'link set dev {nic.name} alias "{nic.mark}"'
    yield f"link set dev {nic.name} mtu {MTU}"
    yield f"link set dev {nic.name} up"
    for address in nic.addresses():
        yield f"address add {address} dev {nic.name}"


def undo(count: int) -> str:
    """Lines for `ip -batch` after which the interfaces are as they were made."""
    return "".join(
        f'address flush dev {nic.name}\nlink set dev {nic.name} down mtu 1500 alias ""\n'
        for nic in map(Nic, range(count))
    )


def make_nics(testbed: Testbed, first: int, count: int) -> None:
    """Plug interfaces `first` to `count` - 1 into controller a; their other ends are up, on the client."""
    far = testbed["client"].holder.pid
    here = "".join(
        f"link add {nic.name} address {nic.mac} type veth peer name far{nic.number} netns {far}\n"
        for nic in map(Nic, range(first, count))
    )
    there = "".join(f"link set far{number} up\n" for number in range(first, count))
    for name, lines in (("a", here), ("client", there)):
        testbed[name].run("sh", "-c", f"ip -batch - <<'END'\n{lines}END\n")
