"""Invariants of the timed world, with history: what must never happen under any fault.

Each check runs where the invariant could break, with the world's own knowledge and none of the core's. Liveness is not
here: `swarm` checks it after faults have healed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.machine.outputs import serve_ms
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.reasons import reasons
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.key import Key, Side, rank
from reconciler.core.failover.reservations.reservation_state import DiskView, epochs

if TYPE_CHECKING:
    from reconciler.simulation.timed.controller import Controller
    from reconciler.simulation.timed.world import World

#: Every invariant by its short name. `hagit rehearse --invariants` and the stories print these texts.
INVARIANTS = {
    "two-writers": "never two controllers whose writes can reach a pool",
    "unfenced": "no import without a fence verified on every top-level vdev",
    "stale-import": "an import that lost its reservation never writes again",
    "lost-write": "no acknowledged write is lost",
    "free": "the reservation is never free while a pool is imported",
    "two-answers": "at most one side answers the virtual addresses, beyond the bound",
    "address-first": "no address answers before all servers of shares do, except after the bounded wait, which is told",
    "shares-outlive": "no export begins while a server of shares uses a pool",
    "two-servers": "never servers of both controllers over one pool, beyond the bound",
    "stale-read": "with strict orders no client reads less than what was acknowledged",
    "disabled": "while failover is disabled no controller moves without a person",
    "budget": "no controller begins more automatic moves than its orders allow",
    "left-behind": "a completed claim leaves no key on a disk that the other controller holds",
    "needless": "no controller takes over for silence from a peer whose disk heartbeat is alive",
    "service": "with one healthy controller and enough disks, service within the bound",
    "recovery": "no state from which a person cannot recover",
}


def overlap_bound_ms(orders: Orders) -> int:
    """Return for how many milliseconds two controllers may answer the virtual addresses at once.

    The time ends when the hardware watchdog of the old active resets it. It is 0 with strict orders: there the new
    active waits for that reset.
    """
    timers = orders.timers
    return 0 if orders.strict else timers.proof_ms + timers.deadman_ms + timers.look_ms


class Checkers:
    """Checks one world; `broken` says which invariant broke first, and how."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken = ""
        self.name = ""
        self.writes_checked = 0
        self._both_ms: int | None = None
        #: Since when servers run over the pools of both controllers.
        self._servers_ms: int | None = None
        #: When each controller became active last, by its own clock.
        self.active_ms = {Side.A: 0, Side.B: 0}

    def fails(self, name: str, how: str) -> None:
        """Record that an invariant broke; only the first one counts."""
        if not self.broken:
            self.name, self.broken = name, f"{INVARIANTS[name]}: {how}"
            self.world.note("broken", self.broken)

    # Disks -----------------------------------------------------------------------------------------------------------

    def disks_changed(self) -> None:
        """Check after reservations, or paths to disks, changed: which controllers can write, and may they?"""
        importers = [one for one in self.world.controllers if one.kernel.imported]
        for one in importers:
            for pool, name in enumerate(self.world.pools):
                if not self.reaches(one.side, pool):
                    one.kernel.stale |= {pool}
                elif pool in one.kernel.stale:
                    self.fails("stale-import", f"{one.side} can write {name} again")
            self._check_free(one.side)
        if len(importers) == 2:
            self._check_two()

    def reaches(self, side: Side, pool: int) -> bool:
        """Whether reservations let this side write every vdev of a pool. Ignores lost paths: they may come back."""
        return all(self._vdev_reached(side, vdev) for vdev in self.world.vdevs_of[pool])

    def _vdev_reached(self, side: Side, vdev: Vdev) -> bool:
        kernel = self.world.controller(side).kernel
        lets = {
            disk
            for disk in range(len(self.world.shelf.disks))
            if disk not in kernel.gained and kernel.writes_over(disk)
        }
        return sum(disk in lets or kernel.in_use.get(disk) in lets for disk in vdev.disks) >= vdev.needed

    def _check_free(self, side: Side) -> None:
        orders = self.world.controller(side).orders
        free = sum(self.world.shelf.disks[at].holder is None for at in self.world.places(orders.voters))
        if free >= orders.majority:
            self.fails("free", f"{side} has pools imported, {free} arbitration disks have no holder")

    def _check_two(self) -> None:
        for vdev in self.world.orders.vdevs:
            if self._vdev_reached(Side.A, vdev) and self._vdev_reached(Side.B, vdev):
                self.fails("two-writers", f"both have pools imported and can write vdev {vdev.name}")

    def completed(self, side: Side, disk: int) -> None:
        """Check at the end of a completion that had the disk exclusively."""
        found = self.world.shelf.disks[disk]
        registered = found.key(side) is not None or found.second(side) is not None
        if registered and found.holder is side.other:
            self.fails(
                "left-behind", f"{side} is registered on {self.world.orders.disks[disk]} of {found.view().holder}"
            )

    # Pools and writes ------------------------------------------------------------------------------------------------

    def import_began(self, one: Controller) -> None:
        """Check at the beginning of an import."""
        pools = range(len(self.world.pools))
        one.kernel.stale = frozenset(pool for pool in pools if not self.reaches(one.side, pool))
        other = self.world.controller(one.side.other).kernel
        other.replaced = other.stale
        core = one.core
        if core is None or core.phase not in (Phase.IMPORTING, Phase.ACTIVE):
            self.fails("unfenced", f"{one.side} imports in phase {core.phase if core else 'none'}")
        elif core.phase is Phase.IMPORTING:
            self._check_fence(one, core, frozenset(self.world.members))
        self.disks_changed()

    def import_ended(self, one: Controller) -> None:
        """Check after a successful import: it must contain every acknowledged write."""
        found = zip(self.world.pools, one.kernel.newest, self.world.client.acknowledged, strict=True)
        for name, newest, last in found:
            if newest < last:
                self.fails("lost-write", f"{one.side} imports {name} with write {newest}, acknowledged was {last}")

    def acknowledged(self, one: Controller, pool: int) -> None:
        """Check an acknowledged write to a pool."""
        self.writes_checked += 1
        if pool in one.kernel.stale:
            self.fails("stale-import", f"{one.side} acknowledged a write")
        other = self.world.controller(one.side.other).kernel
        if other.pools is Presence.ALL and pool not in other.stale:
            self.fails("two-writers", f"{one.side} acknowledged a write while {one.side.other} has a valid import")

    def stale_read(self, one: Controller, pool: int) -> None:
        """A client was answered from a pool that lacks what another controller acknowledged."""
        if self.world.orders.strict:
            self.fails("stale-read", f"{one.side} answered with write {one.kernel.newest[pool]}")

    # Addresses -------------------------------------------------------------------------------------------------------

    def answers_changed(self) -> None:
        """Check after a controller began or ceased to answer the virtual addresses."""
        world = self.world
        controllers = getattr(world, "controllers", ())
        both = len(controllers) == 2 and all(one.kernel.answering for one in controllers)
        if not both:
            self._both_ms = None
        elif self._both_ms is None:
            self._both_ms = world.now_ms
            world.later(overlap_bound_ms(world.orders) + 1, self._check_overlap, world.now_ms)
        self.servers_changed()

    def _check_overlap(self, since_ms: int) -> None:
        if self._both_ms == since_ms:
            bound_ms = overlap_bound_ms(self.world.orders)
            self.fails("two-answers", f"both answer for longer than {bound_ms} ms")

    # Servers of shares -----------------------------------------------------------------------------------------------

    def address_comes(self, one: Controller) -> None:
        """Check when a controller begins to answer at the virtual addresses."""
        missing, core = ", ".join(one.kernel.servers.unserved()), one.core
        # A server may have died since the last look of the daemon.
        if not missing or core is None or one.kernel.servers.ended_ms > one.servers_seen_ms:
            return
        waited_ms, limit_ms = one.clock() - self.active_ms[one.side], serve_ms(one.orders)
        if waited_ms < limit_ms:
            self.fails("address-first", f"{one.side} answers without {missing} after {waited_ms} of {limit_ms} ms")
        elif all(reason.name != "SHARES_UNSERVED" for reason in reasons(core, one.clock())):
            self.fails("address-first", f"{one.side} answers without {missing} and does not say so")

    def server_stops(self, one: Controller) -> None:
        """Check when the daemon stops a server."""
        if one.kernel.addresses:
            self.fails("address-first", f"{one.side} stops a server behind an address that answers")

    def export_begins(self, one: Controller) -> None:
        """Check when the daemon begins to export pools."""
        running = [f"{name} is {state}" for name, state in one.kernel.servers.states.items() if state != "down"]
        if running:
            self.fails("shares-outlive", f"{one.side} exports pools while {', '.join(running)}")

    def server_starts(self, one: Controller) -> None:
        """Check when the daemon starts a server."""
        if one.core is None or one.core.phase is not Phase.ACTIVE or one.kernel.pools is not Presence.ALL:
            self.fails("two-servers", f"{one.side} starts a server while its pools are {one.kernel.pools}")
        self.servers_changed()

    def servers_changed(self) -> None:
        """Check after servers began to run, or to run no longer, on a controller."""
        world = self.world
        if not self._serve_both():
            self._servers_ms = None
        elif self._servers_ms is None:
            self._servers_ms = world.now_ms
            bound_ms = overlap_bound_ms(replace(world.orders, strict=False))
            world.later(bound_ms + 1, self._check_servers, world.now_ms)

    def _serve_both(self) -> bool:
        controllers = getattr(self.world, "controllers", ())
        running = [one for one in controllers if one.kernel.servers.running and one.kernel.imported and not one.frozen]
        return len(running) == 2

    def _check_servers(self, since_ms: int) -> None:
        if self._servers_ms == since_ms and self._serve_both():
            self.fails("two-servers", f"servers run on both controllers since {since_ms} ms")

    # Phases ----------------------------------------------------------------------------------------------------------

    def phase_changed(self, one: Controller, before: State, after: State) -> None:
        """Check a change of the core's phase."""
        if after.phase is Phase.IMPORTING and before.phase is Phase.CLAIMING:
            # The claim takes disks that only pending orders name before the import begins.
            self._check_fence(one, after, frozenset(self.world.places(after.orders.disks)))
        if after.phase is Phase.ACTIVE:
            self.active_ms[one.side] = one.clock()
        moved = after.phase in (Phase.CLAIMING, Phase.RELEASING) and before.phase is not Phase.BOOTING
        code = after.why.code
        if moved and not after.orders.enabled and code not in (Code.FORCED, Code.ASKED, Code.IMPORT_REFUSED):
            self.fails("disabled", f"{one.side} {before.phase} -> {after.phase}: {code.value}")
        if after.phase is Phase.CLAIMING and code in (Code.PEER_SILENT, Code.PEER_ABSENT):
            self._check_silence(one)
        limits = after.orders.limits
        # By its own clock and by the true one: files keep the time of day over a reset, the daemon counts its own.
        window_ms = limits.moves_window_ms
        own = sum(one.clock() - moment < window_ms for moment in one.files.moves_local_ms)
        recent = min(own, sum(self.world.now_ms - moment < window_ms for moment in one.files.moves_ms))
        if limits.moves and recent > limits.moves:
            self.fails("budget", f"{one.side} began {recent} automatic moves in {limits.moves_window_ms} ms")

    def _check_silence(self, one: Controller) -> None:
        """A record that was readable a moment ago is a sign of life, in whatever state the cables are."""
        world, timers = self.world, one.orders.timers
        margin_ms = 2 * timers.look_ms + timers.record_ms + timers.pause_ms
        # Only disks that the orders of both name: newer orders may choose other disks and reach the peer first. The
        # last look cannot have read a record that the peer began to write after it.
        wrote = world.shelf.wrote_ms[one.side is Side.A]
        fresh = [
            last_ms
            for at, record in zip(world.places(one.read.voters), world.shelf.read_records(one.side), strict=True)
            if record is not None
            for last_ms, since_ms in (wrote.get(at, (0, world.now_ms)),)
            if world.now_ms - last_ms < timers.stale_ms - margin_ms and world.now_ms - since_ms > margin_ms
        ]
        leapt = one.leapt_ms is not None and world.now_ms - one.leapt_ms < timers.stale_ms
        if fresh and not leapt:
            self.fails("needless", f"{one.side} takes over from a peer that wrote its record at {max(fresh)} ms")

    def _check_fence(self, one: Controller, after: State, disks: frozenset[int]) -> None:
        """Check the fence by reading the disks independently of the claim's own result. Reads `disks` only."""
        key = Key(one.side, after.epoch)
        peer = self.world.controller(one.side.other)
        for vdev in self.world.orders.vdevs:
            named = [at for at in vdev.disks if at in disks]
            views = [self._view(at, one.side.other) for at in named]
            ours = sum(fenced_for(view, key) for view in views)
            if any(rank(epoch) > rank(key.epoch) for epoch in epochs(views)):
                # A newer claim followed this claim's last look. The next look halts it and the disks refuse it.
                continue
            # No pool of the peer can write a disk that a completion of the peer has only registered.
            left = sum(
                not fenced_for(view, key) and disk not in peer.kernel.gained
                for disk, view in zip(named, views, strict=True)
            )
            if ours < vdev.needed or (left >= vdev.needed and peer.kernel.imported):
                self.fails("unfenced", f"{one.side} imports vdev {vdev.name} with {ours} of {len(views)} disks fenced")

    def _view(self, disk: int, peer: Side) -> DiskView:
        """Return a disk's view without the registration of a second path that no pool of the peer writes over."""
        found = self.world.shelf.disks[disk]
        if disk in self.world.controller(peer).kernel.paths_kept:
            kept = found.second(peer.other)
            found = replace(found, seconds=(kept, None) if peer is Side.B else (None, kept))
        return found.view()


def fenced_for(view: DiskView, key: Key) -> bool:
    """Whether only this key can write the disk."""
    return view.holder == key and view.registered == {key}
