"""What a watchdog publishes about itself, its peer and what lies between: the document `watchdog.json`.

Decides the shape, how old a document may be, and the verdict on the pair in one of four words. Every field is a plain
text, number or truth value. Does not know the core: `core/watchdog_status` fills it from a state.

Names in `_ms` are milliseconds. `at_ms`, `since_ms` and `started_ms` are moments of the writer's monotonic clock; a
reader may compare them with its own clock if `boot` is its own boot. All others are ages, limits or remaining times.
Wall-clock times are ISO 8601 in UTC, for people only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from reconciler.core.status.plain_document import Damage, document_of, read_document
from reconciler.core.status.timeline import FailoverSummary

FORMAT: Final = "hagit.watchdog/1"
#: The whole file; a larger one is not ours.
DOCUMENT_BYTES_MAX: Final = 1 << 20
#: The document is written at least once a second; one older than this was left by a watchdog that hangs or is gone.
STALE_MS: Final = 3_000


class PairVerdict(StrEnum):
    """One line for the pair. The values are the field's words."""

    ACTIVE = "HA active"
    DISABLED = "HA administratively disabled"
    UNAVAILABLE = "HA unavailable"
    MOVING = "failing over now"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatus:
    """One way in which the peer is heard. `kind`: `interlink`, `critical` (an interface) or `disk` (the record).

    `age_ms`: since it was last heard, or since listening began. `limit_ms`: silent from there on. `expected`: silence
    is a fault now.
    """

    name: str
    kind: str
    age_ms: int
    limit_ms: int
    expected: bool = True

    @property
    def silent(self) -> bool:
        """Not heard for as long as counts."""
        return self.age_ms >= self.limit_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class CarpStatus:
    """CARP on one interface: the role that the advertisements show, and what was counted.

    `role`: `MASTER`, `BACKUP` or empty. `heard`: good ones of the peer. `bad`: with a wrong password. `strangers`: with
    our VHID, not from the peer. The ages are since the last of each, None when there was none.
    """

    interface: str
    vhid: int
    role: str = ""
    sent: int = 0
    heard: int = 0
    heard_age_ms: int | None = None
    bad: int = 0
    bad_age_ms: int | None = None
    strangers: int = 0
    stranger_age_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonStatus:
    """One reason why HA is not available or weaker than it could be."""

    code: str
    text: str
    evidence: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersStatus:
    """The orders in force on both sides. `there` is None while the peer is not heard.

    `equal`: the same orders, digest for digest. `refused`: why the newest orders of the agent are not followed.
    `pending`: their disks, vdevs and arbitration are not in force yet; `waits`: for which disks.
    """

    here: int
    there: int | None = None
    equal: bool = False
    enabled: bool = True
    refused: str = ""
    pending: bool = False
    waits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """What the peer says of itself. `age_ms`: since it was heard on any channel, None if never."""

    controller: str
    role: str = ""
    phase: str = ""
    age_ms: int | None = None
    able: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretStatus:
    """The secrets of the pair by their fingerprints. `current` seals what is sent, empty while the file's is unfit.

    `accepted`: what is received may be sealed with these, too. `peer`: what the peer seals with, and `peer_accepts`
    what it accepts besides; empty while that is not known.
    """

    current: str = ""
    accepted: tuple[str, ...] = ()
    peer: str = ""
    peer_accepts: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressStatus:
    """One virtual address. `duplicate`: the MAC address of another machine that answers for it.

    `duplicate_age_ms`: since it was heard last. `of_the_peer`: the peer's heartbeats come from this MAC address.
    """

    address: str
    interface: str
    wanted: bool
    present: bool
    duplicate: str = ""
    duplicate_age_ms: int | None = None
    of_the_peer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """The server of one protocol. `serving`: `up`, `partly`, `down` or `unknown`; `wanted`: clients should be served.

    `shares`: how many there are, `served_count` of them can be used. `served`, `unserved`: their names, the first 512
    each. `clients`: connected ones.
    `start_ms`, `stop_ms`: how long the last start and stop took. `notes`: what makes the next pause longer, in words.
    """

    protocol: str
    serving: str
    wanted: bool = False
    shares: int = 0
    served_count: int = 0
    served: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    clients: int = 0
    start_ms: int | None = None
    stop_ms: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """The pools as the core sees them (`all`, `none`, `some`, ...), and disks that they have given up."""

    state: str = "unknown"
    out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """One part of a bound, in words, and its longest time."""

    what: str
    most_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessStatus:
    """Whether a switchover that is asked for now would be followed, and what clients would see.

    `obstacles`: every reason why not, in words. `switchover_ms` and `takeover_ms` are the worst that the orders allow,
    `parts` what the first consists of, `measured_ms` what the newest switchovers really took, oldest first.
    """

    ready: bool = False
    obstacles: tuple[str, ...] = ()
    switchover_ms: int = 0
    takeover_ms: int = 0
    measured_ms: tuple[int, ...] = ()
    parts: tuple[PartStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadmanStatus:
    """The hardware watchdog. `state`: `fed`, `unfed` (it will reset this controller), or `absent` (nothing will)."""

    state: str
    device: str = ""
    timeout_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerStatus:
    """How the peer's power can be switched from here, and what its switch says.

    `power`: `on`, `off` or `unknown`, as of `checked_age_ms` ago (None: never asked). `working`: the switch answered
    when it was asked last. `doing`: what it is being asked, or empty. `proven`: it is off, and nothing was heard of the
    peer since. `turns` counts what people asked for and what has ended, `well` and `last` say how the last one did.
    """

    controller: str
    agent: str
    power: str = "unknown"
    working: bool = False
    checked_age_ms: int | None = None
    doing: str = ""
    proven: bool = False
    turns: int = 0
    well: bool = False
    last: str = ""
    timeout_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideStatus:
    """A person's time-boxed word over the orders: failover enabled or disabled, and how long still."""

    enabled: bool
    left_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogStatus:
    """Everything that one watchdog knows, at `at` (wall) and `at_ms` (monotonic) of boot `boot`.

    `role` is the field's word for `phase`; `guarantee` says what is certain in it, `since` and `since_ms` when it
    began, `why` how it came to it. `able`: standby, and could take the pools now. `failovers` counts takeovers begun
    here since the daemon started.
    """

    controller: str
    side: str
    pair: str
    role: str
    phase: str
    guarantee: str
    since: str
    since_ms: int
    why: str
    verdict: str
    at: str
    at_ms: int
    boot: str
    pid: int
    started: str
    started_ms: int
    orders: OrdersStatus
    peer: PeerStatus
    deadman: DeadmanStatus
    able: bool = False
    record: ChannelStatus | None = None
    channels: tuple[ChannelStatus, ...] = ()
    carp: tuple[CarpStatus, ...] = ()
    reasons: tuple[ReasonStatus, ...] = ()
    addresses: tuple[AddressStatus, ...] = ()
    servers: tuple[ServerStatus, ...] = ()
    pools: PoolStatus = PoolStatus()
    readiness: ReadinessStatus = ReadinessStatus()
    maintenance_left_ms: int | None = None
    held_back_left_ms: int | None = None
    override: OverrideStatus | None = None
    power: PowerStatus | None = None
    secret: SecretStatus | None = None
    failover: FailoverSummary | None = None
    failovers: int = 0
    lateness_ms_max: int = 0
    version: str = ""


def watchdog_document(status: WatchdogStatus) -> dict[str, Any]:
    """The JSON form, with its format first."""
    document: dict[str, Any] = {"format": FORMAT}
    document |= document_of(status)
    return document


def watchdog_from_document(document: object) -> WatchdogStatus | Damage:
    """The status in a document, or why there is none. Never raises."""
    if isinstance(document, dict) and document.get("format") != FORMAT:
        return Damage("document.format", f"is not {FORMAT}")
    return read_document(WatchdogStatus, document)


def is_stale(status: WatchdogStatus, boot: str, now_ms: int) -> bool:
    """Whether the document no longer says what is: of another boot, or not written again when it should have been."""
    return status.boot != boot or now_ms - status.at_ms > STALE_MS


#: Reasons that only say that a person wants it so.
_WANTED: Final = frozenset({"NO_FAILOVER", "MAINTENANCE", "OVERRIDE"})
_MOVING: Final = frozenset(
    {"LOC_FAILOVER_ONGOING", "REM_FAILOVER_ONGOING", "IMPORT_SLOW", "EXPORT_SLOW", "EXPORT_IN_USE", "SHARES_LATE"}
)
#: Reasons with which a failover still happens when it is needed: less is left to lose, but HA is there.
WEAKENING: Final = frozenset(
    {
        "SECRET_UNFIT", "SECRET_NOT_FOLLOWED",
        "SUCCESSOR_FAILED", "UNSUPERVISED",
        "NO_HEARTBEAT", "DISKS_OUT", "DISKS_UNFENCED", "PATH_UNREGISTERED", "ORDERS_DIFFER", "ORDERS_REFUSED",
        "NO_DEADMAN", "PEER_UNGUARDED", "DEADMAN_RUNS", "GROUP_DOWN",
        "REM_GROUP_DOWN", "CARP_PASSWORD", "CARP_STRANGER", "DUPLICATE_ADDRESS", "ADDRESS_MISSING",
        "ADDRESS_PROBLEM", "CARP_PROBLEM", "CHANNEL_DOWN", "HEARTBEAT_REFUSED", "LEDGER_DAMAGED", "LIFELINE",
        "POWER_FAILED", "POWER_WRONG", "POWER_CUT", "DISK_UNREACHED", "DISKS_DIFFER", "NO_RECORDS",
        "NO_ABORT", "NO_APTPL", "ZFS_NO_HOSTID", "ZFS_SAME_HOSTID", "ZFS_IMPORT_UNIT", "ZFS_MULTIHOST", "ZFS_FAILMODE",
        "ZFS_CACHEFILE", "ZFS_UNMOUNTED", "AUDIT_FAILED", "MULTIPATH_KEY", "PATH_DOWN", "SWITCHOVER_GIVEN_UP",
        "ORDERS_NEWER", "PEER_OLDER", "PEER_NEWER", "ORDERS_PENDING", "EPOCH_REFUSED",
        "SHARES_UNSERVED", "SHARES_NOT_STOPPED", "SHARES_REFUSED", "SHARES_DOWN", "SHARE_PROBLEM", "SHARE_CHANGED",
        "CLIENTS_UNREAD", "CLIENTS_UNTICKLED", "CLIENTS_UNWRITTEN", "PORT_FILTER_NO_PROGRAM", "PORT_FILTER_REFUSED",
        "PORT_FILTER_SILENT", "PORT_FILTER_UNKNOWN", "SOCKETS_UNDESTROYED", "SOCKETS_UNLISTED",
    }
)  # fmt: skip


def judge(codes: frozenset[str]) -> PairVerdict:
    """The verdict that follows from the codes of all reasons that hold.

    A move in progress comes first, then what a person has asked for, then what makes failover impossible.
    """
    if codes & _MOVING:
        return PairVerdict.MOVING
    if codes & _WANTED:
        return PairVerdict.DISABLED
    return PairVerdict.UNAVAILABLE if codes - WEAKENING else PairVerdict.ACTIVE
