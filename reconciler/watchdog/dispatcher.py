"""Disks and pools through the arms: what the core wants as requests, answers as what the daemon is told.

Decides how long each request may take, by the orders' timers, and what an arm's failure means: a look that was not
answered saw nothing, a claim that was not answered won nothing, a look by older orders never was. Does not know how a
child is kept (`workers` does).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from reconciler.core.failover.adapters import PoolsView, Written
from reconciler.core.failover.completion import completable, completing, patience_ms, unfenced, unregistered
from reconciler.core.failover.detector import harmless, heard_since
from reconciler.core.failover.events import Pools, PoolsSeen
from reconciler.core.failover.heartbeat import Beat
from reconciler.core.failover.hold import UNANSWERED, DiskView
from reconciler.core.failover.key import Key
from reconciler.core.failover.keyring import decode_any
from reconciler.core.failover.orders import Orders, Timers
from reconciler.core.failover.pending_orders import joined, with_records
from reconciler.core.failover.phase import Phase, Thing
from reconciler.core.failover.record import decode_record, encode_record, record_way
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.slots import Reading, compare, held
from reconciler.core.failover.wire import Decoded, Way
from reconciler.core.status.watchdog import ReasonStatus
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.deadlines import COMMAND_MS_MAX, COMPLETE_AGAIN_MS, COMPLETE_MS, MOVE_MS, POOLS_MS
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
    ImportPools,
    LookAtDisks,
    LookAtPools,
    MoveReply,
    PoolsReply,
    RecordReply,
    RunAudit,
    RunClaim,
    SwitchPower,
    WorkerKind,
    WorkerReply,
    WorkerRequest,
    WriteRecord,
)


class Dispatcher:
    """Gives the workers of one daemon their requests, and the daemon their answers.

    `running_claim` is the key of the claim that runs, None without one. `running_move` is "import", "export" or "".
    """

    def __init__(
        self, loop: EventLoop, daemon: Daemon, keys: PairKeys, url: str, run: Path, negotiator: VersionNegotiator
    ) -> None:
        self._loop, self._daemon, self._keys, self._url, self._run = loop, daemon, keys, url, run
        self._negotiator = negotiator
        keys.listeners.append(self._set_keys)
        self._workers: WorkerPool | None = None
        self._timer: Timer | None = None
        self._orders: Orders | None = None
        #: Its disks, and those that pending orders add.
        self._all_disks: tuple[str, ...] = ()
        self._outgoing: tuple[Way, ...] = ()
        self._incoming: tuple[tuple[Way, ...], ...] = ()
        #: What the peer's slots on the arbitration disks held when they were read last.
        self._disks: tuple[str, ...] = ()
        self._slots: tuple[bytes | None, ...] = ()
        self._waiting_claim: Key | None = None
        self._pools_due = False
        self._refused_records: Counter[str] = Counter()
        #: Disks that the newest look of the active controller did not find under its reservation alone.
        self._unfenced: tuple[int, ...] = ()
        #: Disks of the active controller with a path that is not registered.
        self._unregistered: tuple[int, ...] = ()
        self._complete_ms = 0
        #: Why the last import came to nothing, and when.
        self._import_problem, self._import_ended_ms = "", 0
        self.running_claim: Key | None = None
        self.running_move = ""
        self.on_power_reply: Callable[[WorkerAnswer], None] = lambda answered: None
        self.on_audit_reply: Callable[[WorkerAnswer], None] = lambda answered: None

    def set_orders(self, orders: Orders, pending: Orders | None) -> None:
        """New disks, vdevs or timers; the disks that pending orders add are looked at, too, and taken."""
        self._orders, self._all_disks = orders, joined(orders, pending).disks
        disks, known = with_records(orders, pending).voters, dict(zip(self._disks, self._slots, strict=True))
        self._disks, self._slots = disks, tuple(known.get(disk) for disk in disks)
        self._set_keys()
        if self._workers is None:
            self._workers = WorkerPool(self._url, orders, self._run, monotonic_ms())
            self._loop.watch(self._workers.fileno(), self._poll_workers)
        self._workers.set_orders(orders, pending)
        self._schedule()

    def _set_keys(self) -> None:
        """Seal with the secret that is in force now, and accept what others seal."""
        orders, ring = self._orders, self._keys.ring
        if orders is not None:
            self._outgoing = tuple(record_way(ring.current, orders.pair, disk, orders.side) for disk in orders.voters)
            peer = orders.side.other
            self._incoming = tuple(
                tuple(record_way(secret, orders.pair, disk, peer) for secret in ring.accepted) for disk in self._disks
            )

    # What the daemon asks for ----------------------------------------------------------------------------------------

    def look_at_disks(self) -> None:
        """Look at all disks and the peer's records, unless the look before is still going on."""
        self._request(LookAtDisks(), self._timers.look_ms)

    def look_at_pools(self) -> None:
        """Look at the pools, now or as soon as the look before has ended."""
        outs = self._daemon.outputs
        wanted = outs is not None and Thing.POOLS in outs.wanted
        self._pools_due = not self._request(LookAtPools(wanted), max(POOLS_MS, 4 * self._timers.look_ms))

    def write_record(self, beat: Beat) -> None:
        """Write the disk heartbeat, unless the one before is still being written."""
        beat = replace(beat, accepts=self._keys.ring.announced)
        sectors = tuple(encode_record(beat, way, self._negotiator.version) for way in self._outgoing)
        self._request(WriteRecord(sectors), max(1, self._timers.stale_ms // 2))

    def run_claim(self, key: Key | None) -> None:
        """Run the claim with this key, and no other."""
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

    def import_pools(self, excused: frozenset[int], txgs: tuple[int, ...]) -> None:
        """Begin to import the pools, if the arm is free; these disks may be silent, no pool may be older."""
        # What is kept for ourselves alone, an import could not open.
        self._stop_completing()
        if self._request(ImportPools(excused, txgs), MOVE_MS):
            self.running_move = "import"

    def export_pools(self) -> None:
        """Begin to export the pools, if the arm is free."""
        self._stop_completing()
        if self._request(ExportPools(), MOVE_MS):
            self.running_move = "export"

    def abandon_export(self) -> None:
        """Kill whoever exports. What it left in the kernel goes on there, and an import waits for it."""
        assert self._workers is not None
        self._workers.abandon(WorkerKind.POOL_MOVER, monotonic_ms())
        self.running_move = ""
        self._schedule()

    def activity(self) -> str:
        """What changes disks, pools or the peer's power at this moment; "" when nothing does."""
        if self.running_claim is not None or self.running_move or self._workers is None:
            return self.running_move or "claim"
        busy = (
            kind
            for kind in (WorkerKind.CLAIM_RUNNER, WorkerKind.POOL_MOVER)
            if self._workers.current_request(kind) is not None
        )
        return next((WORKER_TASKS[kind] for kind in busy), "")

    def set_power_wanted(self, *, wanted: bool) -> None:
        """Whether there is a fence agent to be asked."""
        if self._workers is not None:
            self._workers.set_wanted(WorkerKind.POWER, monotonic_ms(), wanted=wanted)
            self._schedule()

    def request_power(self, request: SwitchPower, within_ms: int) -> bool:
        """Ask a fence agent; False: not now. The answer goes to `on_power_reply`."""
        return self._workers is not None and self._request(request, within_ms)

    def abandon_power(self) -> None:
        """Whatever the fence agent is doing, something else is more urgent."""
        if self._workers is not None:
            self._workers.abandon(WorkerKind.POWER, monotonic_ms())
            self._schedule()

    def request_audit(self, request: RunAudit, within_ms: int) -> bool:
        """Begin an audit; False: not now. The answer goes to `on_audit_reply`."""
        if self._workers is None:
            return False
        self._workers.set_wanted(WorkerKind.AUDITOR, monotonic_ms(), wanted=True)
        self._schedule()
        return self._request(request, within_ms)

    def abandon_audit(self) -> None:
        """What is being audited has to give way."""
        if self._workers is not None:
            # Another one would be begun at once.
            self._workers.set_wanted(WorkerKind.AUDITOR, monotonic_ms(), wanted=False)
            self._workers.abandon(WorkerKind.AUDITOR, monotonic_ms())
            self._schedule()

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """What is wrong with the arms, and with the peer's records."""
        found = []
        for worker in self._workers.conditions() if self._workers is not None else ():
            if worker.kind in (WorkerKind.POWER, WorkerKind.AUDITOR):
                # Agents that hang are no sign of disks that do; `power` and `audits` tell of them.
                continue
            if worker.stuck or (worker.problem and not worker.ready):
                found.append(
                    ReasonStatus(
                        code="ARM_STUCK",
                        text=f"the child that {WORKER_TASKS[worker.kind]} had to be killed",
                        evidence=f"{worker.problem}; {worker.kills} killed, {worker.stuck} of them still there",
                        remedy="look at disks, HBA and kernel log: a child that does not end waits for one of them",
                    )
                )
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
                    remedy="mend what is named; it is tried again, and the journal of the watchdog has every try",
                )
            )
        for what, count in self._refused_records.items():
            found.append(
                ReasonStatus(
                    code="RECORD_REFUSED",
                    text=f"disk heartbeats of the peer are refused: {what}",
                    evidence=f"{count} in the last look that found any",
                    remedy="put the same secret on both controllers",
                )
            )
        return tuple(found)

    def close(self) -> None:
        """Kill the arms; what the kernel was told goes on."""
        if self._workers is not None:
            self._loop.unwatch(self._workers.fileno())
            self._workers.close()

    # What comes of it ------------------------------------------------------------------------------------------------

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
        """Be called at the arms' own next moment."""
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
                view = view or PoolsView(Pools.UNKNOWN, self._daemon.disks_out, txgs=self._daemon.pools_report.txgs)
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
            case _:
                assert_never(answered.request)

    def _handle_disks(self, answered: WorkerAnswer) -> None:
        assert self._orders is not None
        reply = answered.reply
        if isinstance(reply, DisksReply):
            self._daemon.disks_seen(answered.asked_ms - reply.age_ms, reply.views, self._read_records(reply.records))
            self._complete_claim(reply.views)
        elif isinstance(reply, FailedReply) and not reply.outdated:
            self._daemon.disks_seen(answered.asked_ms, (UNANSWERED,) * len(self._all_disks), Reading(None, False))

    def _handle_import(self, reply: WorkerReply) -> None:
        good = isinstance(reply, MoveReply) and reply.ok
        why = reply.why if isinstance(reply, MoveReply | FailedReply) else ""
        self._import_problem, self._import_ended_ms = "" if good else why or "no reason was given", monotonic_ms()
        self._daemon.import_ended(good=good)

    def _import_refusal(self) -> str:
        """Why the pools could not be imported here, as long as the peer has not told since that it has them."""
        core = self._daemon.core
        if core is not None and core.peer.beat is not None and heard_since(core, self._import_ended_ms):
            self._import_problem = "" if core.peer.beat.phase is Phase.ACTIVE else self._import_problem
        return self._import_problem

    def _complete_claim(self, views: tuple[DiskView, ...]) -> None:
        """What an active controller does not hold alone, it takes where it may: see `completion`."""
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

    def _read_records(self, records: tuple[bytes | None, ...]) -> Reading:
        """What the peer's slots say: its newest beat, and whether it writes what cannot be followed."""
        read: list[Decoded | None] = []
        refused, core = Counter[str](), self._daemon.core
        for data, ways in zip(records, self._incoming, strict=True):
            decoded, _ = decode_any(data, ways, decode_record) if data is not None else (Refused(Refusal.BLANK), -1)
            read.append(None if isinstance(decoded, Refused) else decoded)
            if isinstance(decoded, Refused) and not harmless(core.peer if core is not None else None, decoded.why):
                refused[str(decoded)] += 1
        beats = [one.beat if one is not None else None for one in read]
        reading = compare(self._slots, records, beats, core.peer.incarnation if core is not None else 0)
        self._refused_records, self._slots = refused, held(self._slots, records)
        for one in (found for found in read if found is not None and found.beat is reading.beat):
            self._negotiator.learn(one)
        return reading
