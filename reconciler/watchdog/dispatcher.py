"""Disks and pools through the arms: what the core wants as requests, answers as what the daemon is told.

Decides how long each request may take, by the orders' timers, and what an arm's failure means: a look that was not
answered saw nothing, a claim that was not answered won nothing, a look by older orders never was. Does not know how a
child is kept (`arms` does).
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
from reconciler.watchdog.event_loop import Loop, Timer, monotonic_ms
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.version_negotiator import Negotiator
from reconciler.watchdog.worker_pool import Answered, Arms
from reconciler.watchdog.worker_protocol import (
    DEEDS,
    ArmKind,
    Audit,
    ClaimRun,
    Complete,
    Completed,
    Export,
    Failed,
    Import,
    Look,
    Looked,
    LookPools,
    Moved,
    PoolsLooked,
    RecordWritten,
    Reply,
    Request,
    RunClaim,
    SwitchPower,
    WriteRecord,
)


class Labour:
    """The arms of one daemon. `claiming` is the key of the claim that runs, `moving` "import", "export" or ""."""

    def __init__(self, loop: Loop, daemon: Daemon, keys: PairKeys, url: str, run: Path, negotiator: Negotiator) -> None:
        self._loop, self._daemon, self._keys, self._url, self._run = loop, daemon, keys, url, run
        self._negotiator = negotiator
        keys.changed.append(self._rekey)
        self._arms: Arms | None = None
        self._timer: Timer | None = None
        self._orders: Orders | None = None
        #: Its disks, and those that pending orders add.
        self._all: tuple[str, ...] = ()
        self._out: tuple[Way, ...] = ()
        self._into: tuple[tuple[Way, ...], ...] = ()
        #: What the peer's slots on the arbitration disks held when they were read last.
        self._disks: tuple[str, ...] = ()
        self._slots: tuple[bytes | None, ...] = ()
        self._unbegun: Key | None = None
        self._pools_due = False
        self._refused: Counter[str] = Counter()
        #: Disks that the newest look of the active controller did not find under its reservation alone.
        self._unfenced: tuple[int, ...] = ()
        #: Disks of the active controller with a path that is not registered.
        self._unregistered: tuple[int, ...] = ()
        self._complete_ms = 0
        #: Why the last import came to nothing, and when.
        self._unimported, self._unimported_ms = "", 0
        self.claiming: Key | None = None
        self.moving = ""
        self.powered: Callable[[Answered], None] = lambda answered: None
        self.audited: Callable[[Answered], None] = lambda answered: None

    def follow(self, orders: Orders, pending: Orders | None) -> None:
        """New disks, vdevs or timers; the disks that pending orders add are looked at, too, and taken."""
        self._orders, self._all = orders, joined(orders, pending).disks
        disks, known = with_records(orders, pending).voters, dict(zip(self._disks, self._slots, strict=True))
        self._disks, self._slots = disks, tuple(known.get(disk) for disk in disks)
        self._rekey()
        if self._arms is None:
            self._arms = Arms(self._url, orders, self._run, monotonic_ms())
            self._loop.watch(self._arms.fileno(), self._turn)
        self._arms.obey(orders, pending)
        self._wait()

    def _rekey(self) -> None:
        """Seal with the secret that is in force now, and accept what others seal."""
        orders, ring = self._orders, self._keys.ring
        if orders is not None:
            self._out = tuple(record_way(ring.current, orders.pair, disk, orders.side) for disk in orders.voters)
            peer = orders.side.other
            self._into = tuple(
                tuple(record_way(secret, orders.pair, disk, peer) for secret in ring.accepted) for disk in self._disks
            )

    # What the daemon asks for ----------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look at all disks and the peer's records, unless the look before is still going on."""
        self._ask(Look(), self._timers.look_ms)

    def look_at_pools(self) -> None:
        """Look at the pools, now or as soon as the look before has ended."""
        outs = self._daemon.outs
        wanted = outs is not None and Thing.POOLS in outs.wanted
        self._pools_due = not self._ask(LookPools(wanted), max(POOLS_MS, 4 * self._timers.look_ms))

    def write_record(self, beat: Beat) -> None:
        """Write the disk heartbeat, unless the one before is still being written."""
        beat = replace(beat, accepts=self._keys.ring.announced)
        sectors = tuple(encode_record(beat, way, self._negotiator.version) for way in self._out)
        self._ask(WriteRecord(sectors), max(1, self._timers.stale_ms // 2))

    def claim(self, key: Key | None) -> None:
        """Run the claim with this key, and no other."""
        assert self._arms is not None
        if self.claiming is not None:
            self._arms.abandon(ArmKind.HAND, monotonic_ms())
        self._stop_completing()
        self.claiming = self._unbegun = key
        self._begin_claim()

    def _begin_claim(self) -> None:
        if self._unbegun is not None:
            claim_ms = self._timers.claim_ms
            if self._ask(RunClaim(self._unbegun, min(COMMAND_MS_MAX, max(1, claim_ms // 4))), claim_ms):
                self._unbegun = None

    def import_(self, excused: frozenset[int], txgs: tuple[int, ...]) -> None:
        """Begin to import the pools, if the arm is free; these disks may be silent, no pool may be older."""
        # What is kept for ourselves alone, an import could not open.
        self._stop_completing()
        if self._ask(Import(excused, txgs), MOVE_MS):
            self.moving = "import"

    def export(self) -> None:
        """Begin to export the pools, if the arm is free."""
        self._stop_completing()
        if self._ask(Export(), MOVE_MS):
            self.moving = "export"

    def give_up_export(self) -> None:
        """Kill whoever exports. What it left in the kernel goes on there, and an import waits for it."""
        assert self._arms is not None
        self._arms.abandon(ArmKind.MOVER, monotonic_ms())
        self.moving = ""
        self._wait()

    def at_work(self) -> str:
        """What changes disks, pools or the peer's power at this moment; "" when nothing does."""
        if self.claiming is not None or self.moving or self._arms is None:
            return self.moving or "claim"
        busy = (kind for kind in (ArmKind.HAND, ArmKind.MOVER) if self._arms.asked(kind) is not None)
        return next((DEEDS[kind] for kind in busy), "")

    def want_power(self, *, wanted: bool) -> None:
        """Whether there is a fence agent to be asked."""
        if self._arms is not None:
            self._arms.want(ArmKind.POWER, monotonic_ms(), wanted=wanted)
            self._wait()

    def ask_power(self, request: SwitchPower, within_ms: int) -> bool:
        """Ask a fence agent; False: not now. The answer goes to `powered`."""
        return self._arms is not None and self._ask(request, within_ms)

    def abandon_power(self) -> None:
        """Whatever the fence agent is doing, something else is more urgent."""
        if self._arms is not None:
            self._arms.abandon(ArmKind.POWER, monotonic_ms())
            self._wait()

    def ask_audit(self, request: Audit, within_ms: int) -> bool:
        """Begin an audit; False: not now. The answer goes to `audited`."""
        if self._arms is None:
            return False
        self._arms.want(ArmKind.AUDITOR, monotonic_ms(), wanted=True)
        self._wait()
        return self._ask(request, within_ms)

    def abandon_audit(self) -> None:
        """What is being audited has to give way."""
        if self._arms is not None:
            # Another one would be begun at once.
            self._arms.want(ArmKind.AUDITOR, monotonic_ms(), wanted=False)
            self._arms.abandon(ArmKind.AUDITOR, monotonic_ms())
            self._wait()

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """What is wrong with the arms, and with the peer's records."""
        found = []
        for arm in self._arms.conditions() if self._arms is not None else ():
            if arm.kind in (ArmKind.POWER, ArmKind.AUDITOR):
                # Agents that hang are no sign of disks that do; `power` and `audits` tell of them.
                continue
            if arm.undead or (arm.why and not arm.ready):
                found.append(
                    ReasonStatus(
                        code="ARM_STUCK",
                        text=f"the child that {DEEDS[arm.kind]} had to be killed",
                        evidence=f"{arm.why}; {arm.kills} killed, {arm.undead} of them still there",
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
        if refusal := self._refusal():
            found.append(
                ReasonStatus(
                    code="POOLS_REFUSED",
                    text="the pools could not be imported here",
                    evidence=refusal,
                    remedy="mend what is named; it is tried again, and the journal of the watchdog has every try",
                )
            )
        for what, count in self._refused.items():
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
        if self._arms is not None:
            self._loop.forget(self._arms.fileno())
            self._arms.close()

    # What comes of it ------------------------------------------------------------------------------------------------

    @property
    def _timers(self) -> Timers:
        assert self._orders is not None
        return self._orders.timers

    def _ask(self, request: Request, within_ms: int) -> bool:
        assert self._arms is not None
        asked = self._arms.ask(request, monotonic_ms(), within_ms)
        if asked:
            self._wait()
        return asked

    def _wait(self) -> None:
        """Be called at the arms' own next moment."""
        assert self._arms is not None
        due_ms = self._arms.next_ms()
        if self._timer is not None and self._timer.act is not None:
            if self._timer.due_ms == due_ms:
                return
            self._timer.cancel()
        self._timer = None if due_ms is None else self._loop.at(due_ms, self._due)

    def _due(self) -> None:
        self._timer = None
        self._turn()

    def _turn(self) -> None:
        assert self._arms is not None
        for answered in self._arms.turn(monotonic_ms()):
            self._heard(answered)
        self._begin_claim()
        if self._pools_due:
            self.look_at_pools()
        self._wait()

    def _heard(self, answered: Answered) -> None:
        outdated = isinstance(answered.reply, Failed) and answered.reply.outdated
        match answered.request:
            case Look():
                self._looked(answered)
            case LookPools() if outdated:
                self.look_at_pools()
            case LookPools():
                view = answered.reply.view if isinstance(answered.reply, PoolsLooked) else None
                view = view or PoolsView(Pools.UNKNOWN, self._daemon.out, txgs=self._daemon.seen.txgs)
                seen = PoolsSeen(view.pools, view.progress, view.used, view.doing, view.txgs)
                self._daemon.saw_pools(answered.asked_ms, seen, view.out)
            case WriteRecord():
                reply = answered.reply
                if isinstance(reply, RecordWritten) and reply.written is Written.CONFLICT:
                    self._daemon.conflict()
            case RunClaim(key):
                assert self._orders is not None
                self.claiming = None
                reply = answered.reply
                views = reply.views if isinstance(reply, ClaimRun) else (UNANSWERED,) * len(self._orders.disks)
                self._daemon.claim_ended(key, views)
            case Complete(_, disks):
                done = answered.reply.disks if isinstance(answered.reply, Completed) else ()
                self._complete_ms = monotonic_ms() + (0 if set(done) == set(disks) else COMPLETE_AGAIN_MS)
            case Import():
                self.moving = ""
                self._imported(answered.reply)
            case Export():
                self.moving = ""
                self._daemon.export_ended()
            case SwitchPower():
                self.powered(answered)
            case Audit():
                self.audited(answered)
            case _:
                assert_never(answered.request)

    def _looked(self, answered: Answered) -> None:
        assert self._orders is not None
        reply = answered.reply
        if isinstance(reply, Looked):
            self._daemon.looked(answered.asked_ms - reply.age_ms, reply.views, self._read(reply.records))
            self._complete(reply.views)
        elif isinstance(reply, Failed) and not reply.outdated:
            self._daemon.looked(answered.asked_ms, (UNANSWERED,) * len(self._all), Reading(None, False))

    def _imported(self, reply: Reply) -> None:
        good = isinstance(reply, Moved) and reply.ok
        why = reply.why if isinstance(reply, Moved | Failed) else ""
        self._unimported, self._unimported_ms = "" if good else why or "no reason was given", monotonic_ms()
        self._daemon.import_ended(good=good)

    def _refusal(self) -> str:
        """Why the pools could not be imported here, as long as the peer has not told since that it has them."""
        core = self._daemon.core
        if core is not None and core.peer.beat is not None and heard_since(core, self._unimported_ms):
            self._unimported = "" if core.peer.beat.phase is Phase.ACTIVE else self._unimported
        return self._unimported

    def _complete(self, views: tuple[DiskView, ...]) -> None:
        """What an active controller does not hold alone, it takes where it may: see `completion`."""
        core, self._unfenced, self._unregistered = self._daemon.core, (), ()
        mine = completing(core) if core is not None else None
        if core is None or mine is None or core.orders is not self._orders or len(views) != len(self._all):
            return
        in_force = views[: len(core.orders.disks)]
        self._unfenced, self._unregistered = unfenced(in_force, mine), unregistered(in_force, mine)
        disks = completable(views, mine)
        if disks and monotonic_ms() >= self._complete_ms:
            self._ask(Complete(mine, disks, COMMAND_MS_MAX), COMPLETE_MS + patience_ms(self._timers, COMMAND_MS_MAX))

    def _stop_completing(self) -> None:
        assert self._arms is not None
        if isinstance(self._arms.asked(ArmKind.HAND), Complete):
            self._arms.abandon(ArmKind.HAND, monotonic_ms())

    def _read(self, records: tuple[bytes | None, ...]) -> Reading:
        """What the peer's slots say: its newest beat, and whether it writes what cannot be followed."""
        read: list[Decoded | None] = []
        refused, core = Counter[str](), self._daemon.core
        for data, ways in zip(records, self._into, strict=True):
            decoded, _ = decode_any(data, ways, decode_record) if data is not None else (Refused(Refusal.BLANK), -1)
            read.append(None if isinstance(decoded, Refused) else decoded)
            if isinstance(decoded, Refused) and not harmless(core.peer if core is not None else None, decoded.why):
                refused[str(decoded)] += 1
        beats = [one.beat if one is not None else None for one in read]
        reading = compare(self._slots, records, beats, core.peer.incarnation if core is not None else 0)
        self._refused, self._slots = refused, held(self._slots, records)
        for one in (found for found in read if found is not None and found.beat is reading.beat):
            self._negotiator.heard(one)
        return reading
