"""Orders: the permissions and limits of the watchdog, as plain values that the agent compiles from the configuration.

Makes no decisions; `safety_checks` finds orders that a watchdog must refuse. Does not know YAML, nor the path of a
file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from reconciler.core.failover.orders.first_release import FIRST_RELEASE, text_of, written_fields
from reconciler.core.failover.reservations.key import Side


class ChannelKind(StrEnum):
    """The kind of a network channel that carries heartbeats."""

    INTERLINK = "interlink"
    CARP = "carp"


@dataclass(frozen=True, slots=True)
class Channel:
    """One independent network path for heartbeats between the controllers."""

    name: str
    kind: ChannelKind = ChannelKind.INTERLINK


@dataclass(frozen=True, slots=True)
class Vdev:
    """One top-level vdev of one pool, log devices included.

    `disks`: indices into `Orders.disks`. `needed`: the least number of these disks with which the vdev can be written:
    1 for a mirror, n minus parity for raidz.
    """

    name: str
    disks: tuple[int, ...]
    needed: int


@dataclass(frozen=True, slots=True)
class Group:
    """A failover group: critical interfaces that count together. It is down when all of its interfaces are down."""

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
    """How to identify a NIC: permanent MAC address, udev's ID_PATH (a final `*` matches any rest), or name."""

    MAC = "mac"
    PATH = "path"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Device:
    """The kernel's interface for a name that channels, groups or addresses use."""

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
        """Time between two advertisements in ms, rounded up."""
        return self.advbase * 1_000 + -(-self.advskew * 1_000 // 256)


@dataclass(frozen=True, slots=True)
class Timers:
    """Every time limit of the core, in milliseconds of the monotonic clock.

    beat        between two heartbeats                 silence     a network channel is silent after this
    record      between two disk heartbeats            stale       the disk heartbeat is stale after this
    look        between two looks at the disks         proof       longest time without proof of our reservation
    pause       longest pause a process may suffer     settle      how long a link or disk must be gone to count
    claim       a claim that runs longer halts         import_     an import without progress for this long halts
    release     the same for an export                 handover    how long a released pair waits for the peer
    boot        quiet time after start without a peer  yield_      added for the controller that is not the default
    retry       pause after a failed claim             again       pause after a hand-over that the peer did not take
    deadman     time-out of the hardware watchdog      patience    longest silence that clients tolerate
    network     extra wait at a network interruption   maintenance longest maintenance that the operator may ask for
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
    """How often, within a window, a controller may move by itself or reset itself before it makes no more moves."""

    moves: int = 3
    moves_window_ms: int = 3_600_000
    resets: int = 3
    resets_window_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders of one controller's watchdog, in one value with a rising generation.

    `disks`: all devices of the pools, in an order that is the same on both controllers. `arbitration`: indices into
    `disks`. `strict`: the new active controller serves clients only when the old one is certainly silent. `devices`:
    this controller's own, because its NICs have other MAC addresses than the peer's.
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
        # `digest` needs this hash for every beat. Equal orders have equal fields here, and the disks need no hashing.
        return hash((self.pair, self.side, self.generation))

    @property
    def majority(self) -> int:
        """The number of arbitration disks that is a majority."""
        return len(self.arbitration) // 2 + 1

    @property
    def voters(self) -> tuple[str, ...]:
        """The names of the arbitration disks."""
        return tuple(self.disks[at] for at in self.arbitration)

    def controller(self, side: Side) -> str:
        """Return the name of the controller of this side."""
        return self.controllers[0 if side is Side.A else 1]


@dataclass(frozen=True, slots=True)
class Layout:
    """The shelf of orders: the disks that a claim has to fence and that prove a reservation."""

    disks: tuple[str, ...]
    vdevs: tuple[Vdev, ...]
    arbitration: tuple[int, ...]


def layout(orders: Orders) -> Layout:
    """Return the shelf of these orders."""
    return Layout(orders.disks, orders.vdevs, orders.arbitration)


#: Fields that differ between the two controllers without making their orders different.
OWN = frozenset({"side", "devices"})


#: The value of `proof_ms` that every release without a key for it derives, unless looks and pauses are long.
PROOF_MS_LEAST: Final = 2_000
#: Timers without a key in the configuration. Each release derives them, so two releases may differ in them.
DERIVED: Final = frozenset(
    {
        "proof_ms", "settle_ms", "claim_ms", "import_ms", "release_ms", "handover_ms", "boot_ms", "yield_ms",
        "retry_ms", "again_ms", "patience_ms",
    }
)  # fmt: skip


@lru_cache(maxsize=256)
def digest(orders: Orders) -> int:
    """Return 64 bits that are equal on both controllers exactly if both have the same orders, on either side.

    Every release computes the same bits for orders without fields that it does not know (`first_release`).
    """
    first = FIRST_RELEASE["Orders"]
    same = [text_of(getattr(orders, name)) for name in first if name not in OWN]
    later = [f"{name}={text_of(value)}" for name, value in written_fields(orders)[len(first) :] if name not in OWN]
    return _short(f"[{', '.join(same + later)}]")


@lru_cache(maxsize=256)
def first_digest(orders: Orders) -> int:
    """Return the digest that a peer of the first release has for the same configuration.

    That release derives the longest time without proof from looks and pauses alone. It takes a different digest for
    another configuration, and then makes no automatic move. After a takeover it waits by its own limit. So beside a
    peer with another digest this controller uses no longer limit (`failure_detector.agreed`).
    """
    timers = replace(orders.timers, proof_ms=least_proof_ms(orders.timers))
    return digest(replace(orders, timers=timers))


def least_proof_ms(timers: Timers) -> int:
    """Return the time in ms that every release grants a controller without proof, at least."""
    return max(PROOF_MS_LEAST, 2 * timers.look_ms + timers.pause_ms)


@lru_cache(maxsize=256)
def shelf_digest(orders: Orders) -> int:
    """Return 64 bits over the shelf that a fence has to cover: disks, vdevs and arbitration."""
    return _short(text_of((orders.disks, orders.vdevs, orders.arbitration)))


@lru_cache(maxsize=256)
def policy_digest(orders: Orders) -> int:
    """Return 64 bits over the fields that mean the same in every release, without derived timers and later fields.

    Never 0: in a beat, 0 means that the sender is of the first release and has no such digest.
    """
    first = [name for name in FIRST_RELEASE["Orders"] if name not in OWN and name != "timers"]
    same = [text_of(getattr(orders, name), first_only=True) for name in first]
    timers = [getattr(orders.timers, name) for name in FIRST_RELEASE["Timers"] if name not in DERIVED]
    return _short(f"{same} {timers}") or 1


def _short(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8])
