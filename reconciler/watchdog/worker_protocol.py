"""The protocol between the watchdog and its workers: requests and replies as values.

Decides which worker performs which request. Each kind of blocking work has a worker of its own, so that none waits for
another. `worker_messages` writes and reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias, assert_never

from reconciler.core.failover.ports import PoolsView, Written
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.core.power.plan import PowerAction, PowerState
from reconciler.core.shares.ports import ServerView
from reconciler.core.shares.shares import Protocol
from reconciler.system.findings import Finding


class WorkerKind(StrEnum):
    """One worker process each. The value is the name by which the fork server starts it; `ps` shows `hagit-VALUE-N`.

    DISK_MONITOR looks at the disks. DISK_HEARTBEAT writes disk heartbeats. CLAIM_RUNNER runs and completes claims.
    POOL_MONITOR looks at the pools. POOL_MOVER imports and exports them. POWER asks the fence agent of the peer; it
    runs only where one is configured. AUDITOR looks for what could make a takeover fail. SHARE_MOVER starts and stops
    the servers of shares, and SHARE_MONITOR looks at them; both run only where there are shares.
    """

    DISK_MONITOR = "disks"
    DISK_HEARTBEAT = "record"
    CLAIM_RUNNER = "claim"
    POOL_MONITOR = "pools"
    POOL_MOVER = "mover"
    POWER = "power"
    AUDITOR = "audit"
    SHARE_MOVER = "shares"
    SHARE_MONITOR = "clients"

    @property
    def lock_name(self) -> str:
        """The lock file of an exclusive worker, "" for the others.

        An exclusive worker changes what belongs to both controllers, or what two workers must not change at once. Its
        successor starts only when the old process has ended. Workers of the first release hold the same files, so these
        names stay.
        """
        return {
            WorkerKind.CLAIM_RUNNER: "hand.lock",
            WorkerKind.POOL_MOVER: "mover.lock",
            WorkerKind.SHARE_MOVER: "shares.lock",
        }.get(self, "")

    @property
    def exclusive(self) -> bool:
        """Whether at most one process of this kind may exist, including killed ones that the kernel still holds."""
        return bool(self.lock_name)

    @property
    def starts_with_daemon(self) -> bool:
        """Whether the pool starts this worker immediately. It starts the others when they are first needed."""
        return self not in (
            WorkerKind.POWER,
            WorkerKind.AUDITOR,
            WorkerKind.SHARE_MOVER,
            WorkerKind.SHARE_MONITOR,
        )

    @property
    def opens_disks(self) -> bool:
        """Whether this worker opens the disks and pools of the orders."""
        return self not in (WorkerKind.POWER, WorkerKind.SHARE_MOVER, WorkerKind.SHARE_MONITOR)

    @property
    def urgent(self) -> bool:
        """Whether this worker runs before other programs: a reservation proof or a client waits for its answer."""
        return self not in (WorkerKind.AUDITOR, WorkerKind.SHARE_MONITOR)


#: What each worker does, for messages.
WORKER_TASKS: Final = {
    WorkerKind.DISK_MONITOR: "looks at the disks",
    WorkerKind.DISK_HEARTBEAT: "writes the disk heartbeat",
    WorkerKind.CLAIM_RUNNER: "runs the claim",
    WorkerKind.POOL_MONITOR: "looks at the pools",
    WorkerKind.POOL_MOVER: "imports and exports the pools",
    WorkerKind.POWER: "asks the power switch",
    WorkerKind.AUDITOR: "looks for what could make a takeover fail",
    WorkerKind.SHARE_MOVER: "starts and stops the servers of shares",
    WorkerKind.SHARE_MONITOR: "looks at the servers of shares",
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


@dataclass(frozen=True, slots=True)
class ServeShares:
    """Serve the shares in `run/shares` whose SHA-256 is `digest`, and stop the servers of `others`.

    `chap`: the name of each CHAP secret and its file, never the secret.
    """

    digest: str
    others: tuple[Protocol, ...] = ()
    chap: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StopShares:
    """Stop these servers."""

    protocols: tuple[Protocol, ...]


class GuardStep(StrEnum):
    """What happens to the clients' packets and connections (`system/shares/clients/guard`).

    CLOSE: drop packets for the shares, before an address is placed. OPEN: let them through and tickle known clients,
    when servers serve and addresses are here. RELEASE: end all connections silently, before the addresses go.
    """

    CLOSE = "close"
    OPEN = "open"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class GuardClients:
    """Perform this step for the shares with this digest."""

    digest: str
    step: GuardStep


@dataclass(frozen=True, slots=True)
class LookAtShares:
    """Look at these servers, and write their clients to `run/clients.json`. `digest`, `chap`: as in `ServeShares`.

    `active`: this controller serves, so the connections of clients are recorded for the next takeover. Otherwise what
    would fail in a takeover is looked for.
    """

    digest: str
    protocols: tuple[Protocol, ...]
    chap: tuple[tuple[str, str], ...] = ()
    active: bool = False


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
    | ServeShares
    | StopShares
    | LookAtShares
    | GuardClients
)


ShareRequest: TypeAlias = ServeShares | StopShares | LookAtShares | GuardClients


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
class SharesReply:
    """One view of each server that was asked. The views name no clients, only their number.

    `findings`: what failed for the clients. `tickled`: the number of clients that were told to connect again.
    """

    views: tuple[tuple[Protocol, ServerView], ...] = ()
    findings: tuple[Finding, ...] = ()
    tickled: int = 0


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
    | SharesReply
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
        case ServeShares() | StopShares() | GuardClients():
            return WorkerKind.SHARE_MOVER
        case LookAtShares():
            return WorkerKind.SHARE_MONITOR
        case _:
            assert_never(request)
