"""What the watchdog asks of its arms, and what they answer, as values and as messages.

Decides which arm does what: each blocking thing has a child process of its own, so that none waits for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias, assert_never

from reconciler.core.failover.adapters import PoolsView, Written
from reconciler.core.failover.hold import DiskView
from reconciler.core.failover.key import Key
from reconciler.core.power.plan import Deed, Power
from reconciler.system.findings import Finding
from reconciler.system.message_stream import Message
from reconciler.system.shelf.codec import plain_key, plain_pools, plain_view, read_key, read_pools, read_view


class ArmKind(StrEnum):
    """One child process each.

    EYES look at the disks. PULSE writes disk heartbeats. HAND runs claims. HOUSE looks at the pools. MOVER imports and
    exports them. POWER asks the fence agent of the peer, and is there only where one is configured. AUDITOR looks for
    what could make a takeover fail. `exclusive` arms change what belongs to both controllers: while one of them lives
    there is no second.
    """

    EYES = "eyes"
    PULSE = "pulse"
    HAND = "hand"
    HOUSE = "house"
    MOVER = "mover"
    POWER = "power"
    AUDITOR = "auditor"

    @property
    def exclusive(self) -> bool:
        """Whether a new one waits until the one before has ended beyond doubt."""
        return self in (ArmKind.HAND, ArmKind.MOVER)

    @property
    def at_once(self) -> bool:
        """Whether there is one from the start on. The others cost a start nothing, and come when they are wanted."""
        return self not in (ArmKind.POWER, ArmKind.AUDITOR)

    @property
    def urgent(self) -> bool:
        """Whether it goes before other programs: a proof or a client waits for what it does."""
        return self is not ArmKind.AUDITOR


#: What each does, in words.
DEEDS: Final = {
    ArmKind.EYES: "looks at the disks",
    ArmKind.PULSE: "writes the disk heartbeat",
    ArmKind.HAND: "runs the claim",
    ArmKind.HOUSE: "looks at the pools",
    ArmKind.MOVER: "imports and exports the pools",
    ArmKind.POWER: "asks the power switch",
    ArmKind.AUDITOR: "looks for what could make a takeover fail",
}


@dataclass(frozen=True, slots=True)
class Look:
    """Look at every disk and read the peer's disk heartbeats."""


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """Write our disk heartbeat: one sector for each arbitration disk."""

    sectors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RunClaim:
    """Run a claim to its end; each command waits `command_ms` for its answer."""

    key: Key
    command_ms: int = 2_000


@dataclass(frozen=True, slots=True)
class Complete:
    """Complete the claim `key` on these disks, as far as that may be done."""

    key: Key
    disks: tuple[int, ...]
    command_ms: int = 2_000


@dataclass(frozen=True, slots=True)
class LookPools:
    """Look at the pools. `wanted`: the pools should be here; only then a refused import is worth telling."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class Import:
    """Import the pools. `excused`: disks (indices into the orders) whose silence stops no import.

    `txgs`: marks that the pools had reached by the word of their last owner.
    """

    excused: frozenset[int] = frozenset()
    txgs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Export:
    """Export the pools."""


@dataclass(frozen=True, slots=True)
class SwitchPower:
    """Ask a fence agent. `secrets` are names of options and of the files that hold their values, never the values.

    `program`: the agent's program by the word of the node file; "" for one of Debian's. `bound`: which agent and
    options the secrets are for, by its word.
    """

    deed: Deed
    agent: str
    options: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    program: str = ""
    bound: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """Look for what could make a takeover slow, unsafe or impossible. `theirs`: the peer says that it has the pools."""

    theirs: bool


Request: TypeAlias = Look | WriteRecord | RunClaim | Complete | LookPools | Import | Export | SwitchPower | Audit


@dataclass(frozen=True, slots=True)
class Looked:
    """A look at the disks, and the peer's sector on each arbitration disk (None: unreadable).

    `age_ms`: so long before the look the oldest question was asked of those whose answers the views are.
    """

    views: tuple[DiskView, ...]
    records: tuple[bytes | None, ...]
    age_ms: int = 0


@dataclass(frozen=True, slots=True)
class RecordWritten:
    """What became of a disk heartbeat."""

    written: Written


@dataclass(frozen=True, slots=True)
class ClaimRun:
    """A claim at its end; `commands` is how many it took, `silent` how many of them were not answered."""

    epoch: int
    views: tuple[DiskView, ...]
    commands: int
    silent: int


@dataclass(frozen=True, slots=True)
class Completed:
    """The disks on which a claim is complete now, of those that were named."""

    disks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PoolsLooked:
    """A look at the pools."""

    view: PoolsView


@dataclass(frozen=True, slots=True)
class Moved:
    """An import or export ended; not `ok`: refused, or still going on in the kernel; `why`, in words."""

    ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Powered:
    """What an agent came to: `ok`, the deed is done; `power`, what is certain now; `why`, in words."""

    ok: bool
    power: Power
    why: str = ""


@dataclass(frozen=True, slots=True)
class Audited:
    """Everything that was found to be wrong."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, and none will come. `outdated`: it was about the disks of other orders, and says nothing of these."""

    why: str
    outdated: bool = False


Reply: TypeAlias = Looked | RecordWritten | ClaimRun | Completed | PoolsLooked | Moved | Powered | Audited | Failed


def arm_of(request: Request) -> ArmKind:
    """Which arm does this."""
    match request:
        case Look():
            return ArmKind.EYES
        case WriteRecord():
            return ArmKind.PULSE
        case RunClaim() | Complete():
            return ArmKind.HAND
        case LookPools():
            return ArmKind.HOUSE
        case Import() | Export():
            return ArmKind.MOVER
        case SwitchPower():
            return ArmKind.POWER
        case Audit():
            return ArmKind.AUDITOR
        case _:
            assert_never(request)


def plain_request(request: Request) -> Message:
    """A request as a message."""
    match request:
        case Look():
            return {"do": "look"}
        case WriteRecord(sectors):
            return {"do": "write", "sectors": [sector.hex() for sector in sectors]}
        case RunClaim(key, command_ms):
            return {"do": "claim", "key": plain_key(key), "command_ms": command_ms}
        case Complete(key, disks, command_ms):
            return {
                "do": "complete",
                "key": plain_key(key),
                "disks": disks,
                "command_ms": command_ms,
            }
        case LookPools(wanted):
            return {"do": "pools", "wanted": wanted}
        case Import(excused, txgs):
            return {"do": "import", "excused": sorted(excused), "txgs": txgs}
        case Export():
            return {"do": "export"}
        case SwitchPower(deed, agent, options, secrets, program, bound):
            told = {"agent": agent, "options": options, "secrets": secrets, "program": program, "bound": bound}
            return {"do": "power", "deed": deed.value, **told}
        case Audit(theirs):
            return {"do": "audit", "theirs": theirs}
        case _:
            assert_never(request)


def read_request(message: Message) -> Request:
    """The reverse. Raises ValueError, KeyError or TypeError for a message that is no request."""
    match message["do"]:
        case "look":
            return Look()
        case "write":
            return WriteRecord(tuple(bytes.fromhex(sector) for sector in message["sectors"]))
        case "claim":
            key = read_key(message["key"])
            if key is None:
                raise ValueError("a claim without a key")
            return RunClaim(key, int(message["command_ms"]))
        case "complete":
            key = read_key(message["key"])
            if key is None:
                raise ValueError("a claim without a key")
            return Complete(key, tuple(int(at) for at in message["disks"]), int(message["command_ms"]))
        case "pools":
            return LookPools(bool(message["wanted"]))
        case "import":
            excused, txgs = message["excused"], message["txgs"]
            return Import(frozenset(int(at) for at in excused), tuple(int(txg) for txg in txgs))
        case "export":
            return Export()
        case "power":
            options, secrets, bound = (
                tuple((str(name), str(value)) for name, value in message[part])
                for part in ("options", "secrets", "bound")
            )
            deed, agent, program = Deed(message["deed"]), str(message["agent"]), str(message["program"])
            return SwitchPower(deed, agent, options, secrets, program, bound)
        case "audit":
            return Audit(bool(message["theirs"]))
        case other:
            raise ValueError(f"{other!r} is no request")


def plain_reply(reply: Reply) -> Message:
    """A reply as a message."""
    match reply:
        case Looked(views, records, age_ms):
            sectors = [None if record is None else record.hex() for record in records]
            return {"looked": [plain_view(view) for view in views], "records": sectors, "age_ms": age_ms}
        case RecordWritten(written):
            return {"written": written.value}
        case ClaimRun(epoch, views, commands, silent):
            return {
                "claimed": epoch,
                "views": [plain_view(view) for view in views],
                "commands": commands,
                "silent": silent,
            }
        case Completed(disks):
            return {"completed": disks}
        case PoolsLooked(view):
            return {"pools": plain_pools(view)}
        case Moved(ok, why):
            return {"moved": ok, "why": why}
        case Powered(ok, power, why):
            return {"powered": ok, "power": power.value, "why": why}
        case Audited(findings):
            return {"found": [[one.code, one.text, one.evidence, one.remedy] for one in findings]}
        case Failed(why):
            return {"failed": why}
        case _:
            assert_never(reply)


def read_reply(message: Message) -> Reply:
    """The reverse. Raises ValueError, KeyError or TypeError for a message that is no reply."""
    match message:
        case {"looked": views, "records": records, "age_ms": age_ms}:
            sectors = tuple(None if record is None else bytes.fromhex(record) for record in records)
            return Looked(tuple(read_view(view) for view in views), sectors, int(age_ms))
        case {"written": written}:
            return RecordWritten(Written(written))
        case {"claimed": epoch, "views": views, "commands": commands, "silent": silent}:
            return ClaimRun(int(epoch), tuple(read_view(view) for view in views), int(commands), int(silent))
        case {"completed": disks}:
            return Completed(tuple(int(at) for at in disks))
        case {"pools": pools}:
            return PoolsLooked(read_pools(pools))
        case {"moved": ok, "why": why}:
            return Moved(bool(ok), str(why))
        case {"powered": ok, "power": power, "why": why}:
            return Powered(bool(ok), Power(power), str(why))
        case {"found": findings}:
            return Audited(tuple(Finding(*(str(word) for word in words)) for words in findings))
        case {"failed": why}:
            return Failed(str(why))
        case _:
            raise ValueError("no reply")
