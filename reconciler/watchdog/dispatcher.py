"""Dispatch to the workers: turns the outputs of the core into requests, and the answers into events for the daemon.

Decides how long each request may take, by the timers of the orders, and what a failed worker means: a look without an
answer saw nothing, a claim without an answer won nothing, a look by older orders is ignored. Leaves starting and
killing workers to `worker_pool`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, assert_never

from reconciler.core.failover.heartbeats.failure_detector import heard_since
from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.record_slots import Reading
from reconciler.core.failover.machine.events import PoolsSeen, Presence
from reconciler.core.failover.machine.pending_orders import joined
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.orders.orders import Orders, Timers
from reconciler.core.failover.ports import PoolsView, Written
from reconciler.core.failover.reservations.fence_completion import (
    completable,
    completing,
    patience_ms,
    unfenced,
    unregistered,
)
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView
from reconciler.core.status.watchdog import ReasonStatus
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.disk_records import DiskRecords
from reconciler.watchdog.event_loop import EventLoop, Timer, monotonic_ms
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.version_negotiator import VersionNegotiator
from reconciler.watchdog.worker_pool import WorkerAnswer, WorkerPool
from reconciler.watchdog.worker_protocol import (
    WORKER_TASKS,
    ClaimReply,
    CompleteClaim,
    CompletionReply,
    DisksReply,
    ExportPools,
    FailedReply,
    GuardClients,
    ImportPools,
    LookAtDisks,
    LookAtPools,
    LookAtShares,
    MoveReply,
    PoolsReply,
    RecordReply,
    RunAudit,
    RunClaim,
    ServeShares,
    ShareRequest,
    StopShares,
    SwitchPower,
    WorkerKind,
    WorkerReply,
    WorkerRequest,
    WriteRecord,
)
from reconciler.watchdog.worker_reasons import worker_reasons

#: Time for one command of a claim. A claim has time for several commands that are not answered.
COMMAND_MS_MAX: Final = 2_000
#: Time budget for starting disk completions, one after another; and the wait before the next try of one that failed.
COMPLETE_MS: Final = 10_000
COMPLETE_AGAIN_MS: Final = 1_000
#: A look at the pools times out after this, or after four times the interval of looks if that is longer.
POOLS_MS: Final = 500
#: The worker does not limit an import or export. The core ends one that makes no progress for too long.
MOVE_MS: Final = 24 * 3_600_000


class Dispatcher:
    """Gives the workers of one daemon their requests, and the daemon their answers.

    `running_claim` is the key of the claim that runs, None without one. `running_move` is "import", "export" or "".
    """

    def __init__(
        self, loop: EventLoop, daemon: Daemon, keys: PairKeys, url: str, run: Path, negotiator: VersionNegotiator
    ) -> None:
        self._loop, self._daemon, self._url, self._run = loop, daemon, url, run
        self._records = DiskRecords(keys, negotiator)
        self._workers: WorkerPool | None = None
        self._timer: Timer | None = None
        self._orders: Orders | None = None
        #: The disks of the orders in force, then those that pending orders add.
        self._all_disks: tuple[str, ...] = ()
        self._waiting_claim: Key | None = None
        self._pools_due = False
        #: Disks that the newest look of the active controller did not find under its reservation alone.
        self._unfenced: tuple[int, ...] = ()
        #: Disks of the active controller with a path that is not registered.
        self._unregistered: tuple[int, ...] = ()
        self._complete_ms = 0
        #: Why the last import failed ("" if it succeeded), and when it ended.
        self._import_problem, self._import_ended_ms = "", 0
        self.running_claim: Key | None = None
        self.running_move = ""
        self.on_power_reply: Callable[[WorkerAnswer], None] = lambda answered: None
        self.on_audit_reply: Callable[[WorkerAnswer], None] = lambda answered: None
        self.on_shares_reply: Callable[[WorkerAnswer], None] = lambda answered: None
        self.on_workers_changed: Callable[[], None] = lambda: None

    def set_orders(self, orders: Orders, pending: Orders | None) -> None:
        """Use these disks, vdevs and timers. The workers also look at, and claim, the disks that pending orders add."""
        self._orders, self._all_disks = orders, joined(orders, pending).disks
        self._records.set_orders(orders, pending)
        if self._workers is None:
            self._workers = WorkerPool(self._url, orders, self._run, monotonic_ms())
            self._loop.watch(self._workers.fileno(), self._poll_workers)
        self._workers.set_orders(orders, pending)
        self._schedule()

    # Requests of the daemon ------------------------------------------------------------------------------------------

    def look_at_disks(self) -> None:
        """Look at all disks and the peer's records, unless a look is still in progress."""
        self._request(LookAtDisks(), self._timers.look_ms)

    def look_at_pools(self) -> None:
        """Look at the pools, now or when the look in progress has ended."""
        self._pools_due = not self._request(LookAtPools(), max(POOLS_MS, 4 * self._timers.look_ms))

    def write_record(self, beat: Beat) -> None:
        """Write the disk heartbeat, unless the previous one is still being written."""
        self._request(WriteRecord(self._records.sectors(beat)), max(1, self._timers.stale_ms // 2))

    def run_claim(self, key: Key | None) -> None:
        """Run the claim with this key and abandon any other. None runs no claim."""
        assert self._workers is not None
        if self.running_claim is not None:
            self._workers.abandon(WorkerKind.CLAIM_RUNNER, monotonic_ms())
        self._stop_completing()
        self.running_claim = self._waiting_claim = key
        self._start_claim()

    def _start_claim(self) -> None:
        if self._waiting_claim is not None:
            claim_ms = self._timers.claim_ms
            if self._request(RunClaim(self._waiting_claim, min(COMMAND_MS_MAX, max(1, claim_ms // 4))), claim_ms):
                self._waiting_claim = None

    def import_pools(self, excused: frozenset[int], txgs: tuple[int, ...]) -> bool:
        """Start an import. False if the worker is busy or missing.

        `excused`: indices of disks that may be silent. `txgs`: each pool must have reached this transaction group.
        """
        # The import could not open a disk that the claim runner holds open exclusively.
        self._stop_completing()
        started = self._request(ImportPools(excused, txgs), MOVE_MS)
        if started:
            self.running_move = "import"
        return started

    def export_pools(self) -> None:
        """Start an export, if the worker is free."""
        self._stop_completing()
        if self._request(ExportPools(), MOVE_MS):
            self.running_move = "export"

    def abandon_export(self) -> None:
        """Kill the exporting worker. The kernel may continue its last command; the next import waits for that."""
        assert self._workers is not None
        self._workers.abandon(WorkerKind.POOL_MOVER, monotonic_ms())
        self.running_move = ""
        self._schedule()

    def activity(self) -> str:
        """The change of disks or pools that is in progress, for messages; "" without one."""
        if self.running_claim is not None or self.running_move or self._workers is None:
            return self.running_move or "claim"
        busy = (
            kind
            for kind in (WorkerKind.CLAIM_RUNNER, WorkerKind.POOL_MOVER)
            if self._workers.current_request(kind) is not None
        )
        return next((WORKER_TASKS[kind] for kind in busy), "")

    def set_power_wanted(self, *, wanted: bool) -> None:
        """Start the worker that asks the fence agent, or let it end."""
        if self._workers is not None:
            self._workers.set_wanted(WorkerKind.POWER, monotonic_ms(), wanted=wanted)
            self._schedule()

    def request_power(self, request: SwitchPower, within_ms: int) -> bool:
        """Ask the fence agent. False if its worker is busy or missing. The answer goes to `on_power_reply`."""
        return self._workers is not None and self._request(request, within_ms)

    def abandon_power(self) -> None:
        """Kill the worker that asks the fence agent: a more urgent request follows."""
        if self._workers is not None:
            self._workers.abandon(WorkerKind.POWER, monotonic_ms())
            self._schedule()

    def request_audit(self, request: RunAudit, within_ms: int) -> bool:
        """Start an audit. False if the auditor is busy or missing. The answer goes to `on_audit_reply`."""
        if self._workers is None:
            return False
        self._workers.set_wanted(WorkerKind.AUDITOR, monotonic_ms(), wanted=True)
        self._schedule()
        return self._request(request, within_ms)

    def abandon_audit(self) -> None:
        """Kill the auditor: the processor and the disks are needed for a change of phase."""
        if self._workers is not None:
            # Otherwise the pool would start the next auditor immediately.
            self._workers.set_wanted(WorkerKind.AUDITOR, monotonic_ms(), wanted=False)
            self._workers.abandon(WorkerKind.AUDITOR, monotonic_ms())
            self._schedule()

    def set_shares_wanted(self, *, wanted: bool) -> None:
        """Start the workers that serve shares, or let them end."""
        if self._workers is not None:
            for kind in (WorkerKind.SHARE_MOVER, WorkerKind.SHARE_MONITOR):
                self._workers.set_wanted(kind, monotonic_ms(), wanted=wanted)
            self._schedule()

    def request_shares(self, request: ShareRequest, within_ms: int) -> bool:
        """Start, stop or look at servers. False if the worker is busy or missing. See `on_shares_reply`."""
        return self._workers is not None and self._request(request, within_ms)

    def abandon_start(self) -> None:
        """Kill the worker that starts servers. The next one starts when it has ended."""
        if self._workers is not None:
            self._workers.abandon(WorkerKind.SHARE_MOVER, monotonic_ms())
            self._schedule()

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """Problems of the workers, the disks, the last import and the peer's records."""
        found = list(worker_reasons(self._workers.conditions() if self._workers is not None else ()))
        if self._unfenced and self._orders is not None:
            found.append(
                ReasonStatus(
                    code="DISKS_UNFENCED",
                    text="disks are not under the reservation of this controller alone",
                    evidence=", ".join(self._orders.disks[at] for at in self._unfenced),
                    remedy="`hagit reservations` says who holds them, `hagit reservations repair` mends it",
                )
            )
        if self._unregistered and self._orders is not None:
            found.append(
                ReasonStatus(
                    code="PATH_UNREGISTERED",
                    text="a path to a disk is not registered: the disk refuses what is written over it",
                    evidence=", ".join(self._orders.disks[at] for at in self._unregistered),
                    remedy="a path in a multipath device cannot be registered in use: `multipathd del path sdX`, wait"
                    " until this is over, `multipathd add path sdX`; `hagit reservations` says which disks",
                )
            )
        if refusal := self._import_refusal():
            found.append(
                ReasonStatus(
                    code="POOLS_REFUSED",
                    text="the pools could not be imported here",
                    evidence=refusal,
                    remedy="correct what is named; the import is tried again, and the watchdog's journal has each try",
                )
            )
        return (*found, *self._records.reasons())

    def close(self) -> None:
        """Kill the workers. The kernel may still complete their last commands."""
        if self._workers is not None:
            self._loop.unwatch(self._workers.fileno())
            self._workers.close()

    # Answers of the workers ------------------------------------------------------------------------------------------

    @property
    def _timers(self) -> Timers:
        assert self._orders is not None
        return self._orders.timers

    def _request(self, request: WorkerRequest, within_ms: int) -> bool:
        assert self._workers is not None
        asked = self._workers.request(request, monotonic_ms(), within_ms)
        if asked:
            self._schedule()
        return asked

    def _schedule(self) -> None:
        """Set the timer for the next deadline of the worker pool."""
        assert self._workers is not None
        due_ms = self._workers.next_ms()
        if self._timer is not None and self._timer.act is not None:
            if self._timer.due_ms == due_ms:
                return
            self._timer.cancel()
        self._timer = None if due_ms is None else self._loop.at(due_ms, self._due)

    def _due(self) -> None:
        self._timer = None
        self._poll_workers()

    def _poll_workers(self) -> None:
        assert self._workers is not None
        for answered in self._workers.poll(monotonic_ms()):
            self._handle_answer(answered)
        self._start_claim()
        if self._pools_due:
            self.look_at_pools()
        self.on_workers_changed()
        self._schedule()

    def _handle_answer(self, answered: WorkerAnswer) -> None:
        outdated = isinstance(answered.reply, FailedReply) and answered.reply.outdated
        match answered.request:
            case LookAtDisks():
                self._handle_disks(answered)
            case LookAtPools() if outdated:
                self.look_at_pools()
            case LookAtPools():
                view = answered.reply.view if isinstance(answered.reply, PoolsReply) else None
                view = view or PoolsView(Presence.UNKNOWN, self._daemon.disks_out, txgs=self._daemon.pools_report.txgs)
                seen = PoolsSeen(view.pools, view.progress, view.used, view.doing, view.txgs)
                self._daemon.pools_seen(answered.asked_ms, seen, view.out)
            case WriteRecord():
                reply = answered.reply
                if isinstance(reply, RecordReply) and reply.written is Written.CONFLICT:
                    self._daemon.record_refused()
            case RunClaim(key):
                assert self._orders is not None
                self.running_claim = None
                reply = answered.reply
                views = reply.views if isinstance(reply, ClaimReply) else (UNANSWERED,) * len(self._orders.disks)
                self._daemon.claim_ended(key, views)
            case CompleteClaim(_, disks):
                done = answered.reply.disks if isinstance(answered.reply, CompletionReply) else ()
                self._complete_ms = monotonic_ms() + (0 if set(done) == set(disks) else COMPLETE_AGAIN_MS)
            case ImportPools():
                self.running_move = ""
                self._handle_import(answered.reply)
            case ExportPools():
                self.running_move = ""
                self._daemon.export_ended()
            case SwitchPower():
                self.on_power_reply(answered)
            case RunAudit():
                self.on_audit_reply(answered)
            case ServeShares() | StopShares() | LookAtShares() | GuardClients():
                self.on_shares_reply(answered)
            case _:
                assert_never(answered.request)

    def _handle_disks(self, answered: WorkerAnswer) -> None:
        assert self._orders is not None
        reply = answered.reply
        if isinstance(reply, DisksReply):
            reading = self._records.read(reply.records, self._daemon.core)
            self._daemon.disks_seen(answered.asked_ms - reply.age_ms, reply.views, reading)
            self._complete_claim(reply.views)
        elif isinstance(reply, FailedReply) and not reply.outdated:
            self._daemon.disks_seen(answered.asked_ms, (UNANSWERED,) * len(self._all_disks), Reading(None, False))

    def _handle_import(self, reply: WorkerReply) -> None:
        good = isinstance(reply, MoveReply) and reply.ok
        why = reply.why if isinstance(reply, MoveReply | FailedReply) else ""
        self._import_problem, self._import_ended_ms = "" if good else why or "no reason was given", monotonic_ms()
        self._daemon.import_ended(good=good)

    def _import_refusal(self) -> str:
        """Why the last import failed, until the peer says that it is active."""
        core = self._daemon.core
        if core is not None and core.peer.beat is not None and heard_since(core, self._import_ended_ms):
            self._import_problem = "" if core.peer.beat.phase is Phase.ACTIVE else self._import_problem
        return self._import_problem

    def _complete_claim(self, views: tuple[DiskView, ...]) -> None:
        """Complete the claim on disks that it does not hold alone while it is active (`fence_completion`)."""
        core, self._unfenced, self._unregistered = self._daemon.core, (), ()
        mine = completing(core) if core is not None else None
        if core is None or mine is None or core.orders is not self._orders or len(views) != len(self._all_disks):
            return
        in_force = views[: len(core.orders.disks)]
        self._unfenced, self._unregistered = unfenced(in_force, mine), unregistered(in_force, mine)
        disks = completable(views, mine)
        if disks and monotonic_ms() >= self._complete_ms:
            self._request(
                CompleteClaim(mine, disks, COMMAND_MS_MAX), COMPLETE_MS + patience_ms(self._timers, COMMAND_MS_MAX)
            )

    def _stop_completing(self) -> None:
        assert self._workers is not None
        if isinstance(self._workers.current_request(WorkerKind.CLAIM_RUNNER), CompleteClaim):
            self._workers.abandon(WorkerKind.CLAIM_RUNNER, monotonic_ms())
