"""Orders: what the watchdog may do alone, as plain values compiled by the agent from the configuration.

Decides nothing; `unsafe` (beside it) says which orders must be refused. Does not know YAML, nor where a file lies.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from reconciler.core.failover.orders.first_release import FIRST_RELEASE, said, text_of
from reconciler.core.failover.reservations.key import Side


class ChannelKind(StrEnum):
    """What carries a heartbeat over a network."""

    INTERLINK = "interlink"
    CARP = "carp"


@dataclass(frozen=True, slots=True)
class Channel:
    """One independent way in which the controllers hear one another."""

    name: str
    kind: ChannelKind = ChannelKind.INTERLINK


@dataclass(frozen=True, slots=True)
class Vdev:
    """One top-level vdev of one pool, log devices included.

    `disks` are indices into `Orders.disks`; `needed` is the least number of them with which the vdev can be written:
    1 for a mirror, n minus parity for raidz.
    """

    name: str
    disks: tuple[int, ...]
    needed: int


@dataclass(frozen=True, slots=True)
class Group:
    """A failover group: critical interfaces that count together. It is down when all of them are."""

    number: int
    interfaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VirtualAddress:
    """An address that follows the active controller, with its CARP virtual host id on that interface.

    `address` carries the prefix of its network: "10.0.0.10/24", "2001:db8::10/64".
    """

    interface: str
    address: str
    vhid: int


class DeviceKey(StrEnum):
    """By what a NIC is known: its permanent MAC address, udev's ID_PATH (a `*` at the end: the rest), its name."""

    MAC = "mac"
    PATH = "path"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Device:
    """How this controller finds the kernel's interface behind a name that channels, groups or addresses use."""

    name: str
    by: DeviceKey
    value: str


@dataclass(frozen=True, slots=True)
class Carp:
    """How the active controller advertises itself: every `advbase` + `advskew` / 256 seconds (ip_carp.c).

    `virtual_mac`: whether the addresses answer with CARP's own MAC address, 00:00:5e:00:01:VHID.
    """

    advbase: int = 1
    advskew: int = 0
    virtual_mac: bool = False

    @property
    def interval_ms(self) -> int:
        """Between two advertisements, rounded up."""
        return self.advbase * 1_000 + -(-self.advskew * 1_000 // 256)


@dataclass(frozen=True, slots=True)
class Timers:
    """Every bound the core keeps, in milliseconds of the monotonic clock.

    beat        between two heartbeats                 silence     a network channel is silent after this
    record      between two disk heartbeats            stale       the disk heartbeat is stale after this
    look        between two looks at the disks         proof       longest time without proof of our reservation
    pause       longest pause a process may suffer     settle      how long a link or disk must be gone to count
    claim       a claim that runs longer halts         import_     an import that stands still so long halts
    release     the same for an export                 handover    how long a released pair waits for the peer
    boot        quiet time after start without a peer  yield_      added for the controller that is not the default
    retry       after a claim that failed              again       after a hand-over that nobody took
    deadman     the hardware watchdog resets after     patience    longest silence the clients bear
    network     extra wait at a network interruption   maintenance longest maintenance a person may ask for
    """

    beat_ms: int = 200
    silence_ms: int = 1_000
    record_ms: int = 250
    stale_ms: int = 1_500
    look_ms: int = 250
    proof_ms: int = 2_000
    pause_ms: int = 400
    settle_ms: int = 500
    claim_ms: int = 8_000
    import_ms: int = 60_000
    release_ms: int = 5_000
    handover_ms: int = 5_000
    boot_ms: int = 10_000
    yield_ms: int = 15_000
    retry_ms: int = 2_000
    again_ms: int = 60_000
    deadman_ms: int = 5_000
    patience_ms: int = 15_000
    network_ms: int = 0
    maintenance_ms: int = 8 * 3_600_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How often a controller may move by itself, and how often it may have reset itself, before it stays still."""

    moves: int = 3
    moves_window_ms: int = 3_600_000
    resets: int = 3
    resets_window_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class Orders:
    """Everything the watchdog of one controller needs to know, in one value with a rising generation.

    `disks` are all devices of the pools in one global order that is the same on both controllers; `arbitration` are
    indices into it. `strict`: the new active answers clients only when the old one is surely silent. `devices` are this
    controller's own: its NICs have other MAC addresses than the peer's.
    """

    pair: str
    side: Side
    generation: int
    controllers: tuple[str, str]
    disks: tuple[str, ...]
    vdevs: tuple[Vdev, ...]
    arbitration: tuple[int, ...]
    channels: tuple[Channel, ...]
    groups: tuple[Group, ...] = ()
    addresses: tuple[VirtualAddress, ...] = ()
    default: Side = Side.A
    enabled: bool = True
    strict: bool = False
    timers: Timers = field(default_factory=Timers)
    limits: Limits = field(default_factory=Limits)
    carp: Carp = field(default_factory=Carp)
    devices: tuple[Device, ...] = ()

    def __hash__(self) -> int:
        # Asked for with every beat (`digest`): equal orders have these in common, and no disk has to be visited.
        return hash((self.pair, self.side, self.generation))

    @property
    def majority(self) -> int:
        """How many arbitration disks decide."""
        return len(self.arbitration) // 2 + 1

    @property
    def voters(self) -> tuple[str, ...]:
        """The names of the arbitration disks."""
        return tuple(self.disks[at] for at in self.arbitration)

    def controller(self, side: Side) -> str:
        """The name of one controller."""
        return self.controllers[0 if side is Side.A else 1]


@dataclass(frozen=True, slots=True)
class Layout:
    """The shelf of orders: what a claim has to cover, and what a proof is read from."""

    disks: tuple[str, ...]
    vdevs: tuple[Vdev, ...]
    arbitration: tuple[int, ...]


def layout(orders: Orders) -> Layout:
    """The shelf of these orders."""
    return Layout(orders.disks, orders.vdevs, orders.arbitration)


#: What differs between the two controllers, and does not make their orders different.
OWN = frozenset({"side", "devices"})


#: What the orders of every release that does not know the key derive, unless looks and pauses are long.
PROOF_MS_LEAST: Final = 2_000
#: Timers that no key of the configuration gives: each release derives them, so two may differ in them.
DERIVED: Final = frozenset(
    {
        "proof_ms", "settle_ms", "claim_ms", "import_ms", "release_ms", "handover_ms", "boot_ms", "yield_ms",
        "retry_ms", "again_ms", "patience_ms",
    }
)  # fmt: skip


@lru_cache(maxsize=256)
def digest(orders: Orders) -> int:
    """64 bits that are equal on both controllers exactly when both have the same orders, whichever side they are.

    Every release computes them alike from orders that say nothing that it does not know (`first_release`).
    """
    first = FIRST_RELEASE["Orders"]
    same = [text_of(getattr(orders, name)) for name in first if name not in OWN]
    later = [f"{name}={text_of(value)}" for name, value in said(orders)[len(first) :] if name not in OWN]
    return _short(f"[{', '.join(same + later)}]")


@lru_cache(maxsize=256)
def first_digest(orders: Orders) -> int:
    """The digest that a peer of the first release has, where it follows the same configuration.

    That release derives the longest time without proof from looks and pauses alone. It takes a digest that differs
    for another configuration, and then moves nothing by itself. What it waits for after a takeover is its own limit:
    beside a peer that has not the same digest, this controller lives by no longer one (`detector.agreed`).
    """
    timers = replace(orders.timers, proof_ms=least_proof_ms(orders.timers))
    return digest(replace(orders, timers=timers))


def least_proof_ms(timers: Timers) -> int:
    """How long every release lets a controller go on without proof, at the least."""
    return max(PROOF_MS_LEAST, 2 * timers.look_ms + timers.pause_ms)


@lru_cache(maxsize=256)
def shelf_digest(orders: Orders) -> int:
    """64 bits over what a fence has to cover: disks, vdevs and arbitration."""
    return _short(text_of((orders.disks, orders.vdevs, orders.arbitration)))


@lru_cache(maxsize=256)
def policy_digest(orders: Orders) -> int:
    """64 bits over what one configuration means in every release: not what a release derives, nor what came later.

    Never 0, which says in a beat that the sender is of the first release and has none.
    """
    first = [name for name in FIRST_RELEASE["Orders"] if name not in OWN and name != "timers"]
    same = [text_of(getattr(orders, name), first_only=True) for name in first]
    timers = [getattr(orders.timers, name) for name in FIRST_RELEASE["Timers"] if name not in DERIVED]
    return _short(f"{same} {timers}") or 1


def _short(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8])
