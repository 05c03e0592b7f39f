"""Reasons why HA is not available: every reason that holds now, each with its evidence and its remedy.

No reason hides another one. Names follow the usage of the field. Makes no decisions, and knows only the state of one
controller. Parts of the watchdog add reasons of their own, for example about workers, secrets and shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.core.failover.heartbeats.failure_detector import (
    disk_alive,
    disk_stale,
    network_alive,
    network_silent,
    undecoded,
)
from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.twins import listening, quiet_ms
from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.machine.inhibitors import budget_spent, forbidden, held_back, in_maintenance, same_role
from reconciler.core.failover.machine.outputs import late, serve_ms
from reconciler.core.failover.machine.owner import GONE, released, stalled_ms
from reconciler.core.failover.machine.phase import GUARANTEES, OWNING, Phase
from reconciler.core.failover.machine.preference import resting
from reconciler.core.failover.machine.standby import ends_without_import
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.reservations.key import COUNTER_HEARD_MAX, TAG_BITS, is_credible
from reconciler.core.failover.reservations.reservation_state import TOLD_MAX, Hold

NOT_UNDERSTOOD = "PEER_NOT_UNDERSTOOD"
#: The remedy if the peer's heartbeats cannot be decoded.
UNDERSTAND = "compare `hagit secret status` and `hagit --version` on both: they need one secret and version in common"
MOVING = (Phase.CLAIMING, Phase.IMPORTING, Phase.RELEASING)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: a stable name, a sentence, the evidence, and the remedy."""

    name: str
    text: str
    evidence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text} ({self.evidence}). {self.remedy}."


def reasons(state: State, now_ms: int) -> tuple[Reason, ...]:
    """Return every reason that holds at `now_ms`, in a fixed order; empty if HA is available."""
    return (*_policy(state, now_ms), *_here(state, now_ms), *_between(state, now_ms), *_there(state, now_ms))


def _policy(state: State, now_ms: int) -> Iterator[Reason]:
    """Yield the reasons that the orders and the operator set."""
    orders, limits = state.orders, state.orders.limits
    for decision in forbidden(state, now_ms):
        if decision.code is Code.DISABLED:
            yield Reason(
                "NO_FAILOVER", decision.code.value, decision.evidence, "`hagit failover enable` says how to enable it"
            )
        elif decision.code is Code.CONTRADICTION:
            yield Reason(
                "ORDERS_CONTRADICT", decision.code.value, decision.evidence, "apply one revision on both controllers"
            )
        elif decision.code is Code.EPOCHS_EXHAUSTED:
            remedy = "export the pools, stop both watchdogs, clear the reservations of all disks, start both"
            yield Reason("EPOCHS_EXHAUSTED", decision.code.value, decision.evidence, remedy)
        elif decision.code is Code.TWIN:
            evidence = f"{decision.evidence}; this machine is {state.machine:016x}"
            remedy = "power off the machine that must not be this controller; it was cloned, or has a wrong node file"
            yield Reason("TWIN", f"{Code.TWIN.value}: this one claims nothing", evidence, remedy)
        elif decision.code is Code.PEER_TWIN:
            remedy = "power off the machine that must not be the peer; until then only people move the pools"
            yield Reason("PEER_TWIN", decision.code.value, decision.evidence, remedy)
        elif decision.code is Code.SHELF_DIFFERS:
            yield Reason("MISMATCH_DISKS", decision.code.value, decision.evidence, "apply the newer revision here, too")
    if in_maintenance(state, now_ms):
        left_s = ((state.maintenance_ms or now_ms) - now_ms) // 1000
        yield Reason(
            "MAINTENANCE", Code.MAINTENANCE.value, f"{left_s} s left", "wait, or end it: `hagit maintenance --end`"
        )
    if held_back(state, now_ms):
        evidence = f"{limits.resets} or more resets in {limits.resets_window_ms // 60_000} min"
        yield Reason(
            "HELD_BACK", Code.HELD_BACK.value, evidence, "find out why it reset itself, then `hagit maintenance --end`"
        )
    if budget_spent(state, now_ms):
        evidence = f"{limits.moves} moves in {limits.moves_window_ms // 60_000} min"
        yield Reason(
            "FLAPPING", Code.BUDGET.value, evidence, "find what makes the pair flap; `hagit force-activate` if needed"
        )
    if state.pending is not None:
        if GUARANTEES[phase := state.phase].required:
            evidence = "; ".join(state.missing[:TOLD_MAX]) or "its disks have not been looked at yet"
            remedy = "mend or free these disks, or take them out again; `hagit reservations` says who holds them"
        else:
            evidence = f"this controller is {phase.value}, and follows the active one"
            remedy = "see `hagit status` on the active controller"
        text = "newer orders wait for disks; the disks, vdevs and arbitration before them stay in force"
        yield Reason("ORDERS_PENDING", text, evidence, remedy)
    for defect in unsafe(orders):
        yield Reason("ORDERS_UNSAFE", f"the orders in force are not safe: {defect.what}", defect.where, defect.remedy)
    if not orders.groups:
        evidence = "no failover group in the orders"
        yield Reason("NO_CRITICAL_INTERFACES", "no interface is critical", evidence, "mark one interface as critical")
    if not orders.addresses:
        evidence = "no virtual address in the orders"
        yield Reason("NO_VIP", "no virtual address follows the active controller", evidence, "give an interface one")


def _here(state: State, now_ms: int) -> Iterator[Reason]:
    """Yield the reasons on this controller."""
    looks, phase = state.looks, state.phase
    if phase is Phase.BOOTING:
        yield Reason("LOC_NOT_READY", "this controller is still starting", str(state.why), "wait for its first looks")
    if phase is Phase.HALTED:
        yield Reason("LOC_HALTED", "this controller has halted and will be reset", str(state.why), "wait for the reset")
        return
    if phase in MOVING:
        evidence = f"{phase.value} for {now_ms - state.since_ms} ms: {state.why}"
        yield Reason("LOC_FAILOVER_ONGOING", "a failover is in progress here", evidence, "wait for it to end")
    yield from _slow(state, now_ms)
    yield from _shares(state, now_ms)
    if GUARANTEES[phase].required and looks.hold is not Hold.OURS:
        since_ms = now_ms - (state.since_ms if looks.proved_ms is None else looks.proved_ms)
        evidence = f"last proven {since_ms} ms ago"
        yield Reason("NO_FENCED", "our reservation is not proven at the moment", evidence, "look at the disks")
    if phase is Phase.ACTIVE and looks.pools is not Presence.ALL:
        yield Reason(
            "NO_VOLUME", "the pools are not all imported", f"pools: {looks.pools.value}", "look at zpool status"
        )
    if looks.shelf_ms is not None and not looks.sees:
        evidence = f"{(now_ms - looks.unseen_ms) if looks.unseen_ms is not None else 0} ms"
        yield Reason("NO_DISKS", Code.NO_DISKS.value, evidence, "check cables, HBA and shelf")
    if phase is Phase.STANDBY and looks.pools in (Presence.UNKNOWN, Presence.HUNG):
        evidence = f"pools: {looks.pools.value}"
        yield Reason("POOLS_UNKNOWN", "the state of the pools cannot be read here", evidence, "look for a hung zpool")
    for number in sorted(looks.groups_down):
        evidence = "no member has carrier"
        yield Reason("GROUP_DOWN", f"failover group {number} is down here", evidence, "check cables and switch ports")
    if looks.out:
        names = ", ".join(state.orders.disks[at] for at in sorted(looks.out) if at < len(state.orders.disks))
        yield Reason(
            "DISKS_OUT",
            "the pools run without some of their disks",
            names,
            "replace them: a takeover has to wait for them",
        )
    if phase is Phase.STANDBY and (state.why.code is Code.CLAIM_UNARMED or ends_without_import(state)):
        remedy = "let power fencing prove that the peer is off, start the peer, or mend the disks that do not answer"
        yield Reason("UNFENCED", Code.CLAIM_UNARMED.value, _deadman_of(state.peer.beat), remedy)
    if phase is Phase.STANDBY and state.why.code is Code.CLAIM_LOST:
        remedy = "mend the disks; one that is dead for good, take out of its Pool in the configuration"
        yield Reason("UNFENCED", Code.CLAIM_LOST.value, state.why.evidence or "the peer was faster", remedy)
    if state.unit is not None:
        remedy = "write the serial number of this machine into the Pair, or boot the unit that it names"
        yield Reason(state.unit.code.name, f"{state.unit.code.value}: no claim", state.unit.evidence, remedy)
    if phase is Phase.STANDBY and listening(state, now_ms):
        evidence = f"owner {looks.owner}, listening for {now_ms - state.alone_ms} ms"
        text = "the disks hold a key of this controller from another boot or machine: it listens before any claim"
        yield Reason("LOC_NOT_READY", text, evidence, f"wait {quiet_ms(state.orders.timers)} ms")
    if looks.woke:
        yield Reason("WOKE_LATE", "this process was paused and looks before it acts", "", "find what paused it")


def _shares(state: State, now_ms: int) -> Iterator[Reason]:
    """Yield servers of shares that do not serve on the active controller, or that run on the standby controller."""
    looks, phase = state.looks, state.phase
    if phase is Phase.ACTIVE and not looks.served:
        waited_ms, limit_ms = now_ms - state.since_ms, serve_ms(state.orders)
        if late(state, now_ms):
            text = "the virtual addresses wait for the servers of shares"
            evidence = f"{waited_ms} ms, at most {limit_ms} ms"
            yield Reason("SHARES_LATE", text, evidence, "wait: the addresses answer at the latest after this time")
        else:
            text = "a server of shares does not serve, and the virtual addresses do not wait for it any longer"
            evidence = f"active for {waited_ms} ms, the wait ended after {limit_ms} ms"
            yield Reason("SHARES_UNSERVED", text, evidence, "see the shares in `hagit status`: each says what it needs")
    if phase is Phase.STANDBY and not looks.stopped:
        text = "a server of shares runs on the standby controller, where no pool is imported"
        remedy = "stop what `systemctl` or another program started; a server that cannot stop ends with a reboot"
        yield Reason("SHARES_NOT_STOPPED", text, "the last look at the servers", remedy)


def _slow(state: State, now_ms: int) -> Iterator[Reason]:
    """Yield an import or export that lasts longer than its limit without progress, and a cancelled switchover."""
    timers, looks = state.orders.timers, state.looks
    limit_ms = {Phase.IMPORTING: timers.import_ms, Phase.RELEASING: timers.release_ms}.get(state.phase)
    lasts_ms = now_ms - state.since_ms
    gone = looks.pools in GONE if state.phase is Phase.IMPORTING else released(state)
    if limit_ms is not None and lasts_ms >= limit_ms and not gone:
        evidence = f"{lasts_ms} ms so far, last progress {stalled_ms(state, now_ms)} ms ago, at most {limit_ms} ms"
        evidence = f"{evidence}; {looks.doing}" if looks.doing else evidence
        what = "import" if state.phase is Phase.IMPORTING else "export"
        name, text = f"{what.upper()}_SLOW", f"the {what} takes long, but makes progress: no time limit ends it"
        yield Reason(name, text, evidence, "wait: it ends by itself; a reset follows if it makes no progress")
    elif state.phase is Phase.RELEASING and looks.used:
        text = "the export is refused: a program uses a filesystem of the pools"
        evidence = f"{stalled_ms(state, now_ms)} ms, at most {limit_ms} ms"
        yield Reason("EXPORT_IN_USE", text, evidence, "end that program: `fuser -vm` with the mountpoint names it")
    if state.refused is not None and state.refused.code is Code.RELEASE_GIVEN_UP and resting(state, now_ms):
        remedy = "end that program (`fuser -vm` with the mountpoint names it), then `hagit switchover` again"
        yield Reason("SWITCHOVER_GIVEN_UP", state.refused.code.value, state.refused.evidence, remedy)


def _between(state: State, now_ms: int) -> Iterator[Reason]:
    """Yield the reasons on the channels between the controllers."""
    peer, timers = state.peer, state.orders.timers
    for channel, heard_ms in zip(state.orders.channels, peer.heard_ms, strict=False):
        # Both controllers send beats on every channel in every phase, so the active one sees here that a network fails.
        if now_ms - heard_ms >= timers.silence_ms:
            evidence = f"{now_ms - heard_ms} ms, at most {timers.silence_ms} ms"
            yield Reason("NO_HEARTBEAT", f"the peer is not heard on {channel.name}", evidence, "check that network")
    silent = network_silent(state, now_ms)
    if undecoded(state, now_ms):
        since_ms = now_ms - (peer.undecoded_ms if peer.undecoded_ms is not None else now_ms)
        evidence = f"its disk record changes, last {now_ms - peer.heard_ms[-1]} ms ago, undecoded for {since_ms} ms"
        yield Reason(NOT_UNDERSTOOD, "the peer lives but cannot be understood: no takeover", evidence, UNDERSTAND)
    elif silent and disk_alive(state, now_ms):
        evidence = f"its record moved {now_ms - peer.heard_ms[-1]} ms ago"
        yield Reason(
            "ISOLATED",
            "the peer is silent on every network, but its disk record moves: no takeover",
            evidence,
            "mend a network",
        )
    owns = peer.beat is not None and peer.beat.phase in OWNING
    if owns and not silent and disk_stale(state, now_ms):
        evidence = f"{now_ms - peer.heard_ms[-1]} ms, at most {timers.stale_ms} ms"
        yield Reason("STALE_RECORD", "the peer's disk record does not move", evidence, "check the disks of the peer")
    if same_role(state, now_ms):
        evidence = "two heartbeats of an active controller"
        yield Reason("DISAGREE_VIP", Code.SAME_ROLE.value, evidence, "wait: the disks fence one of them")


def _there(state: State, now_ms: int) -> Iterator[Reason]:
    """Yield the reasons on the peer."""
    peer = state.peer
    if not peer.ever:
        evidence = f"{now_ms - state.since_ms} ms in this phase"
        yield Reason("NO_PONG", "the peer has not been heard since this controller started", evidence, "start the peer")
        return
    if peer.dead:
        yield Reason("REM_DEAD", Code.PEER_DEAD.value, "proof, or its own last words", "start the peer")
    if network_silent(state, now_ms):
        evidence = "no network channel"
        yield Reason("NO_PONG", "the peer is silent", evidence, "start the peer, or mend the networks")
    if peer.beat is not None and network_alive(state, now_ms):
        yield from _said(state, peer.beat)


def _deadman_of(beat: Beat | None) -> str:
    """Return the reported state of the peer's hardware watchdog, for people."""
    if beat is None or not beat.policy:
        return "the peer is of a release that does not say whether its hardware watchdog is armed"
    return "its hardware watchdog is armed" if beat.armed else "it says that no hardware watchdog is armed there"


def _said(state: State, beat: Beat) -> Iterator[Reason]:
    """Yield the reasons that the peer reports about itself."""
    orders = state.orders
    if beat.phase is Phase.BOOTING:
        yield Reason("NO_SYSTEM_READY", "the peer is still starting", "its heartbeat says so", "wait")
    if not beat.guarded and beat.phase not in (Phase.BOOTING, Phase.HALTED):
        text = "no hardware watchdog is known to reset the peer: with a disk out of reach no takeover is possible"
        yield Reason("PEER_UNGUARDED", text, _deadman_of(beat), "see NO_DEADMAN in `hagit status` on the peer")
    if beat.phase in MOVING:
        yield Reason(
            "REM_FAILOVER_ONGOING", "a failover is in progress at the peer", beat.phase.value, "wait for it to end"
        )
    if beat.phase is Phase.STANDBY and state.phase is Phase.STANDBY:
        yield Reason(
            "NO_OWNER", "both controllers are standby", "two heartbeats of a standby", "`hagit force-activate` on one"
        )
    if beat.phase is Phase.STANDBY and not beat.able:
        evidence = "its heartbeat says so"
        yield Reason("REM_NOT_ABLE", "the peer could not take the pools now", evidence, "see the reasons on the peer")
    if not beat.sees and beat.phase is not Phase.BOOTING:
        yield Reason("REM_NO_DISKS", "the peer does not see enough of the disks", "its heartbeat", "check its cables")
    for number in sorted(beat.groups_down):
        evidence = "its heartbeat says so"
        yield Reason("REM_GROUP_DOWN", f"failover group {number} is down at the peer", evidence, "check its cables")
    if not is_credible(state.highest, beat.epoch):
        evidence = (
            f"claim {beat.epoch >> TAG_BITS} there, {state.highest >> TAG_BITS} here, at most {COUNTER_HEARD_MAX}"
        )
        text = "the heartbeats of the peer name a claim that no key on the disks shows: not believed"
        remedy = "if it stays, the secret of the pair may have leaked: change it on both, `hagit secret new`"
        yield Reason("EPOCH_REFUSED", text, evidence, remedy)
    if beat.generation != orders.generation:
        evidence = f"generation {orders.generation} here, {beat.generation} there"
        yield Reason("ORDERS_DIFFER", "the controllers follow different orders", evidence, "let both agents apply")
