"""The protocol between the watchdog and its workers: requests and replies, as values and as messages.

Decides which worker performs which request. Each kind of blocking work has a worker of its own, so that none waits for
another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias, assert_never

from reconciler.core.failover.ports import PoolsView, Written
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.core.power.plan import PowerAction, PowerState
from reconciler.system.findings import Finding
from reconciler.system.message_stream import Message
from reconciler.system.shelf.codec import plain_key, plain_pools, plain_view, read_key, read_pools, read_view


class WorkerKind(StrEnum):
    """One worker process each. The value is the name by which the fork server starts it; `ps` shows `hagit-VALUE-N`.

    DISK_MONITOR looks at the disks. DISK_HEARTBEAT writes disk heartbeats. CLAIM_RUNNER runs and completes claims.
    POOL_MONITOR looks at the pools. POOL_MOVER imports and exports them. POWER asks the fence agent of the peer; it
    runs only where one is configured. AUDITOR looks for what could make a takeover fail.
    """

    DISK_MONITOR = "disks"
    DISK_HEARTBEAT = "record"
    CLAIM_RUNNER = "claim"
    POOL_MONITOR = "pools"
    POOL_MOVER = "mover"
    POWER = "power"
    AUDITOR = "audit"

    @property
    def lock_name(self) -> str:
        """The lock file of an exclusive worker, "" for the others.

        An exclusive worker changes what belongs to both controllers. Its successor starts only when the old process has
        ended. Workers of the first release hold the same files, so these names stay.
        """
        return {WorkerKind.CLAIM_RUNNER: "hand.lock", WorkerKind.POOL_MOVER: "mover.lock"}.get(self, "")

    @property
    def exclusive(self) -> bool:
        """Whether at most one process of this kind may exist, including killed ones that the kernel still holds."""
        return bool(self.lock_name)

    @property
    def starts_with_daemon(self) -> bool:
        """Whether the pool starts this worker immediately. It starts the others when they are first needed."""
        return self not in (WorkerKind.POWER, WorkerKind.AUDITOR)

    @property
    def urgent(self) -> bool:
        """Whether this worker runs before other programs: a reservation proof or a client waits for its answer."""
        return self is not WorkerKind.AUDITOR


#: What each worker does, for messages.
WORKER_TASKS: Final = {
    WorkerKind.DISK_MONITOR: "looks at the disks",
    WorkerKind.DISK_HEARTBEAT: "writes the disk heartbeat",
    WorkerKind.CLAIM_RUNNER: "runs the claim",
    WorkerKind.POOL_MONITOR: "looks at the pools",
    WorkerKind.POOL_MOVER: "imports and exports the pools",
    WorkerKind.POWER: "asks the power switch",
    WorkerKind.AUDITOR: "looks for what could make a takeover fail",
}


@dataclass(frozen=True, slots=True)
class LookAtDisks:
    """Look at every disk and read the peer's disk heartbeats."""


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """Write the disk heartbeat of this controller: one sector for each arbitration disk."""

    sectors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RunClaim:
    """Run a claim to its end. Each command waits `command_ms` for its answer."""

    key: Key
    command_ms: int = 2_000


@dataclass(frozen=True, slots=True)
class CompleteClaim:
    """Complete the claim with this key on these disks, where the rules of completion allow it."""

    key: Key
    disks: tuple[int, ...]
    command_ms: int = 2_000


@dataclass(frozen=True, slots=True)
class LookAtPools:
    """Look at the pools."""


@dataclass(frozen=True, slots=True)
class ImportPools:
    """Import the pools. `excused`: disks (indices into the orders) whose silence does not prevent the import.

    `txgs`: for each pool, the transaction group that it had reached according to its last owner.
    """

    excused: frozenset[int] = frozenset()
    txgs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportPools:
    """Export the pools."""


@dataclass(frozen=True, slots=True)
class SwitchPower:
    """Ask a fence agent. `secrets` are names of options and of the files that hold their values, never the values.

    `program`: the agent's program that the node file names, "" for one of Debian's. `bound`: the agent and options for
    which the node file gives the secrets.
    """

    deed: PowerAction
    agent: str
    options: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    program: str = ""
    bound: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RunAudit:
    """Look for problems that would make a takeover slow, unsafe or impossible. `theirs`: the peer has the pools."""

    theirs: bool


WorkerRequest: TypeAlias = (
    LookAtDisks
    | WriteRecord
    | RunClaim
    | CompleteClaim
    | LookAtPools
    | ImportPools
    | ExportPools
    | SwitchPower
    | RunAudit
)


@dataclass(frozen=True, slots=True)
class DisksReply:
    """A look at the disks, and the peer's sector on each arbitration disk (None: unreadable).

    `age_ms`: age of the oldest answer that the views use, counted from the start of the look.
    """

    views: tuple[DiskView, ...]
    records: tuple[bytes | None, ...]
    age_ms: int = 0


@dataclass(frozen=True, slots=True)
class RecordReply:
    """Result of writing the disk heartbeat."""

    written: Written


@dataclass(frozen=True, slots=True)
class ClaimReply:
    """Result of a claim. `commands`: number of commands sent. `silent`: number of them without an answer."""

    epoch: int
    views: tuple[DiskView, ...]
    commands: int
    silent: int


@dataclass(frozen=True, slots=True)
class CompletionReply:
    """The disks of the request on which the claim is complete now."""

    disks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PoolsReply:
    """A look at the pools."""

    view: PoolsView


@dataclass(frozen=True, slots=True)
class MoveReply:
    """Result of an import or export. Not `ok`: it was refused or still runs in the kernel; `why` says which."""

    ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class PowerReply:
    """Result of a fence agent. `ok`: it did what was asked. `power`: the proven state. `why`: the failure in words."""

    ok: bool
    power: PowerState
    why: str = ""


@dataclass(frozen=True, slots=True)
class AuditReply:
    """The findings of an audit."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class FailedReply:
    """No result. `outdated`: the request was about the disks of other orders."""

    why: str
    outdated: bool = False


WorkerReply: TypeAlias = (
    DisksReply
    | RecordReply
    | ClaimReply
    | CompletionReply
    | PoolsReply
    | MoveReply
    | PowerReply
    | AuditReply
    | FailedReply
)


def worker_for(request: WorkerRequest) -> WorkerKind:
    """The worker that performs this request."""
    match request:
        case LookAtDisks():
            return WorkerKind.DISK_MONITOR
        case WriteRecord():
            return WorkerKind.DISK_HEARTBEAT
        case RunClaim() | CompleteClaim():
            return WorkerKind.CLAIM_RUNNER
        case LookAtPools():
            return WorkerKind.POOL_MONITOR
        case ImportPools() | ExportPools():
            return WorkerKind.POOL_MOVER
        case SwitchPower():
            return WorkerKind.POWER
        case RunAudit():
            return WorkerKind.AUDITOR
        case _:
            assert_never(request)


def plain_request(request: WorkerRequest) -> Message:
    """A request as a message."""
    match request:
        case LookAtDisks():
            return {"do": "look"}
        case WriteRecord(sectors):
            return {"do": "write", "sectors": [sector.hex() for sector in sectors]}
        case RunClaim(key, command_ms):
            return {"do": "claim", "key": plain_key(key), "command_ms": command_ms}
        case CompleteClaim(key, disks, command_ms):
            return {
                "do": "complete",
                "key": plain_key(key),
                "disks": disks,
                "command_ms": command_ms,
            }
        case LookAtPools():
            return {"do": "pools"}
        case ImportPools(excused, txgs):
            return {"do": "import", "excused": sorted(excused), "txgs": txgs}
        case ExportPools():
            return {"do": "export"}
        case SwitchPower(deed, agent, options, secrets, program, bound):
            told = {"agent": agent, "options": options, "secrets": secrets, "program": program, "bound": bound}
            return {"do": "power", "deed": deed.value, **told}
        case RunAudit(theirs):
            return {"do": "audit", "theirs": theirs}
        case _:
            assert_never(request)


def read_request(message: Message) -> WorkerRequest:
    """A request from a message. Raises ValueError, KeyError or TypeError for a malformed one."""
    match message["do"]:
        case "look":
            return LookAtDisks()
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
            return CompleteClaim(key, tuple(int(at) for at in message["disks"]), int(message["command_ms"]))
        case "pools":
            return LookAtPools()
        case "import":
            excused, txgs = message["excused"], message["txgs"]
            return ImportPools(frozenset(int(at) for at in excused), tuple(int(txg) for txg in txgs))
        case "export":
            return ExportPools()
        case "power":
            options, secrets, bound = (
                tuple((str(name), str(value)) for name, value in message[part])
                for part in ("options", "secrets", "bound")
            )
            deed, agent, program = PowerAction(message["deed"]), str(message["agent"]), str(message["program"])
            return SwitchPower(deed, agent, options, secrets, program, bound)
        case "audit":
            return RunAudit(bool(message["theirs"]))
        case other:
            raise ValueError(f"{other!r} is no request")


def plain_reply(reply: WorkerReply) -> Message:
    """A reply as a message."""
    match reply:
        case DisksReply(views, records, age_ms):
            sectors = [None if record is None else record.hex() for record in records]
            return {"looked": [plain_view(view) for view in views], "records": sectors, "age_ms": age_ms}
        case RecordReply(written):
            return {"written": written.value}
        case ClaimReply(epoch, views, commands, silent):
            return {
                "claimed": epoch,
                "views": [plain_view(view) for view in views],
                "commands": commands,
                "silent": silent,
            }
        case CompletionReply(disks):
            return {"completed": disks}
        case PoolsReply(view):
            return {"pools": plain_pools(view)}
        case MoveReply(ok, why):
            return {"moved": ok, "why": why}
        case PowerReply(ok, power, why):
            return {"powered": ok, "power": power.value, "why": why}
        case AuditReply(findings):
            return {"found": [[one.code, one.text, one.evidence, one.remedy] for one in findings]}
        case FailedReply(why):
            return {"failed": why}
        case _:
            assert_never(reply)


def read_reply(message: Message) -> WorkerReply:
    """A reply from a message. Raises ValueError, KeyError or TypeError for a malformed one."""
    match message:
        case {"looked": views, "records": records, "age_ms": age_ms}:
            sectors = tuple(None if record is None else bytes.fromhex(record) for record in records)
            return DisksReply(tuple(read_view(view) for view in views), sectors, int(age_ms))
        case {"written": written}:
            return RecordReply(Written(written))
        case {"claimed": epoch, "views": views, "commands": commands, "silent": silent}:
            return ClaimReply(int(epoch), tuple(read_view(view) for view in views), int(commands), int(silent))
        case {"completed": disks}:
            return CompletionReply(tuple(int(at) for at in disks))
        case {"pools": pools}:
            return PoolsReply(read_pools(pools))
        case {"moved": ok, "why": why}:
            return MoveReply(bool(ok), str(why))
        case {"powered": ok, "power": power, "why": why}:
            return PowerReply(bool(ok), PowerState(power), str(why))
        case {"found": findings}:
            return AuditReply(tuple(Finding(*(str(word) for word in words)) for words in findings))
        case {"failed": why}:
            return FailedReply(str(why))
        case _:
            raise ValueError("no reply")
