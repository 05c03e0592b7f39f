"""The published status of a controller, for people and programs, from the core's state and the daemon's report.

Decides the words, and the reasons that the core cannot know. Pure: knows no files, clocks or sockets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.core.failover.heartbeats.failure_detector import network_alive
from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.inhibitors import held_back
from reconciler.core.failover.machine.liveness_bound import switchover_bound, takeover_bound
from reconciler.core.failover.machine.owner import switchover_refused
from reconciler.core.failover.machine.phase import GUARANTEES, OWNING, Phase
from reconciler.core.failover.machine.preference import able, peer_worse, resting
from reconciler.core.failover.machine.reasons import reasons
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.orders import ChannelKind, digest
from reconciler.core.status.timeline import FailoverSummary, measured
from reconciler.core.status.watchdog import (
    AddressStatus,
    CarpStatus,
    ChannelStatus,
    DeadmanStatus,
    OrdersStatus,
    OverrideStatus,
    PartStatus,
    PeerStatus,
    PoolStatus,
    PowerStatus,
    ReadinessStatus,
    ReasonStatus,
    SecretStatus,
    ServerStatus,
    WatchdogStatus,
    judge,
)

#: A bad or foreign advertisement is a reason for this long after it arrived.
ADVERTISED_MS = 60_000
#: Remedies for another machine that answers for a virtual address.
DUPLICATE_ON_PEER = (
    "after a takeover, wait: the peer removes the address, or is reset; if this stays, `hagit status` on the peer "
    "names the address and how to remove it there"
)
DUPLICATE_ELSEWHERE = "find the machine with this MAC address and remove the address there"
#: Two masters for longer than this are no hand-over.
HANDOVER_MS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonReport:
    """Facts that the daemon knows and the core does not. Wall-clock times are ISO 8601 in UTC.

    `since`: when the phase began. `refused`: why the newest orders of the agent are not followed. `done`: the newest
    failovers, oldest first. `more`: further reasons.
    """

    at: str
    boot: str
    pid: int
    started: str
    started_ms: int
    since: str
    deadman: DeadmanStatus
    carp: tuple[CarpStatus, ...] = ()
    addresses: tuple[AddressStatus, ...] = ()
    servers: tuple[ServerStatus, ...] = ()
    override: OverrideStatus | None = None
    power: PowerStatus | None = None
    secret: SecretStatus | None = None
    refused: str = ""
    done: tuple[FailoverSummary, ...] = ()
    failovers: int = 0
    lateness_ms_max: int = 0
    version: str = ""
    more: tuple[ReasonStatus, ...] = ()


def watchdog_status(state: State, now_ms: int, report: DaemonReport) -> WatchdogStatus:
    """The status of a controller that follows orders."""
    orders, guarantee = state.orders, GUARANTEES[state.phase]
    found = (*_core_reasons(state, now_ms), *_daemon_reasons(state, now_ms, report), *report.more)
    left_ms = None if state.maintenance_ms is None else max(0, state.maintenance_ms - now_ms)
    held_ms = None
    if state.held_back_ms is not None and held_back(state, now_ms):
        held_ms = state.held_back_ms + orders.limits.resets_window_ms - now_ms
    return WatchdogStatus(
        controller=orders.controller(orders.side),
        side=orders.side.value,
        pair=orders.pair,
        role=guarantee.role.value,
        phase=state.phase.value,
        guarantee=guarantee.text,
        since=report.since,
        since_ms=state.since_ms,
        why=str(state.why),
        verdict=judge(frozenset(reason.code for reason in found)).value,
        at=report.at,
        at_ms=now_ms,
        boot=report.boot,
        pid=report.pid,
        started=report.started,
        started_ms=report.started_ms,
        orders=_orders(state, now_ms, report.refused),
        peer=_peer(state, now_ms),
        deadman=report.deadman,
        able=able(state, now_ms),
        record=_record(state, now_ms),
        channels=_channels(state, now_ms),
        carp=report.carp,
        reasons=found,
        addresses=report.addresses,
        servers=report.servers,
        pools=PoolStatus(
            state=state.looks.pools.value,
            out=tuple(orders.disks[at] for at in sorted(state.looks.out) if at < len(orders.disks)),
        ),
        readiness=ReadinessStatus(
            ready=switchover_refused(state, now_ms) is None,
            obstacles=tuple(obstacles(state, now_ms)),
            switchover_ms=switchover_bound(orders, shares=bool(report.servers)).total_ms,
            takeover_ms=takeover_bound(orders, shares=bool(report.servers)).total_ms,
            measured_ms=measured(report.done),
            parts=tuple(
                PartStatus(what=what, most_ms=ms)
                for what, ms in switchover_bound(orders, shares=bool(report.servers)).parts
            ),
        ),
        maintenance_left_ms=left_ms or None,
        held_back_left_ms=held_ms,
        override=report.override,
        power=report.power,
        secret=report.secret,
        failover=report.done[-1] if report.done else None,
        failovers=report.failovers,
        lateness_ms_max=report.lateness_ms_max,
        version=report.version,
    )


def status_without_orders(controller: str, side: str, now_ms: int, report: DaemonReport) -> WatchdogStatus:
    """The status of a daemon without orders: it changes nothing and listens on no channel."""
    guarantee = GUARANTEES[Phase.BOOTING]
    missing = ReasonStatus(
        code="NO_ORDERS",
        text="the watchdog has no orders to follow",
        evidence=report.refused or "the agent has not published any",
        remedy="check that the agent runs, and run `hagit plan` on this controller",
    )
    found = (missing, *report.more)
    return WatchdogStatus(
        controller=controller,
        side=side,
        pair="",
        role=guarantee.role.value,
        phase=Phase.BOOTING.value,
        guarantee=guarantee.text,
        since=report.since,
        since_ms=report.started_ms,
        why=missing.text,
        verdict=judge(frozenset(reason.code for reason in found)).value,
        at=report.at,
        at_ms=now_ms,
        boot=report.boot,
        pid=report.pid,
        started=report.started,
        started_ms=report.started_ms,
        orders=OrdersStatus(here=0, refused=report.refused),
        peer=PeerStatus(controller=""),
        deadman=report.deadman,
        reasons=found,
        secret=report.secret,
        readiness=ReadinessStatus(obstacles=(missing.text,)),
        failover=report.done[-1] if report.done else None,
        lateness_ms_max=report.lateness_ms_max,
        version=report.version,
    )


def obstacles(state: State, now_ms: int) -> Iterator[str]:
    """Every reason why a switchover would be refused here now."""
    beat = state.peer.beat
    if state.phase is not Phase.ACTIVE:
        yield Code.NOT_ACTIVE.value
        return
    if not state.orders.enabled:
        yield Code.DISABLED.value
    if peer_worse(state):
        yield "a failover group is down at the peer that is up here"
    if not network_alive(state, now_ms):
        yield "the peer is not heard on any network"
    elif beat is None or state.peer.dead:
        yield "the peer is dead"
    elif beat.phase is not Phase.STANDBY:
        yield f"the peer is {beat.phase.value}, not standby"
    else:
        if not beat.sees:
            yield "the peer does not see enough of the disks"
        if state.looks.out and not state.armed:
            yield "disks are given up, and no hardware watchdog is armed here: the peer could not fence this controller"
        if not beat.able:
            yield "the peer says that it could not take the pools now; see `hagit status` there"


def _core_reasons(state: State, now_ms: int) -> Iterator[ReasonStatus]:
    for reason in reasons(state, now_ms):
        yield ReasonStatus(code=reason.name, text=reason.text, evidence=reason.evidence, remedy=reason.remedy)


def _daemon_reasons(state: State, now_ms: int, report: DaemonReport) -> Iterator[ReasonStatus]:
    """Reasons that the core cannot know."""
    if state.phase is Phase.STANDBY and resting(state, now_ms):
        yield ReasonStatus(
            code="LOC_RESTING",
            text="this controller has just released the pools, or failed to take them, and waits before the next try",
            evidence=f"{(state.retry_ms or now_ms) - now_ms} ms left",
            remedy="wait",
        )
    if report.override is not None:
        word = "enabled" if report.override.enabled else "disabled"
        yield ReasonStatus(
            code="OVERRIDE",
            text=f"an operator has {word} failover for a time, whatever the configuration says",
            evidence=f"{report.override.left_ms // 1000} s left",
            remedy="wait, or end it with `hagit failover enable`",
        )
    if report.refused:
        yield ReasonStatus(
            code="ORDERS_REFUSED",
            text="the newest orders are not followed; the older ones stay in force",
            evidence=report.refused,
            remedy="correct the configuration and commit; `hagit validate` says how",
        )
    if report.deadman.state == "absent":
        yield ReasonStatus(
            code="NO_DEADMAN",
            text="no hardware watchdog would reset this controller if its daemon hung",
            evidence=report.deadman.device or "the node file names none",
            remedy="load the driver of the machine's watchdog (or `softdog`) and restart the daemon",
        )
    for carp in report.carp:
        yield from _carp_reasons(state, now_ms, carp)
    for address in report.addresses:
        yield from _address_reasons(address)


def _carp_reasons(state: State, now_ms: int, carp: CarpStatus) -> Iterator[ReasonStatus]:
    where = f"{carp.interface}, VHID {carp.vhid}"
    if carp.bad_age_ms is not None and carp.bad_age_ms < ADVERTISED_MS:
        yield ReasonStatus(
            code="CARP_PASSWORD",
            text=f"another machine advertises with another CARP password on {carp.interface}",
            evidence=f"{where}: {carp.bad} so far, the last {carp.bad_age_ms // 1000} s ago",
            remedy="put the same secret on both controllers, or find the other machine that uses this VHID",
        )
    if carp.stranger_age_ms is not None and carp.stranger_age_ms < ADVERTISED_MS:
        yield ReasonStatus(
            code="CARP_STRANGER",
            text=f"another machine uses the VHID of this pair on {carp.interface}, in CARP or VRRP",
            evidence=f"{where}: {carp.strangers} so far, the last {carp.stranger_age_ms // 1000} s ago",
            remedy="choose another vhid in the configuration, or stop the other machine",
        )
    heard = carp.heard_age_ms is not None and carp.heard_age_ms < state.orders.timers.silence_ms
    if heard and state.phase is Phase.ACTIVE and now_ms - state.since_ms >= HANDOVER_MS:
        yield ReasonStatus(
            code="DISAGREE_VIP",
            text=f"both controllers advertise as MASTER on {carp.interface}",
            evidence=f"{where}: the peer was heard {carp.heard_age_ms} ms ago",
            remedy="wait: the disks fence one of them; then see `hagit status` on the peer",
        )


def _address_reasons(address: AddressStatus) -> Iterator[ReasonStatus]:
    if address.duplicate:
        who = "the peer" if address.of_the_peer else "another machine"
        age_s = (address.duplicate_age_ms or 0) // 1000
        yield ReasonStatus(
            code="DUPLICATE_ADDRESS",
            text=f"{who} also answers for the virtual address {address.address}",
            evidence=f"{address.duplicate} on {address.interface}, heard {age_s} s ago",
            remedy=DUPLICATE_ON_PEER if address.of_the_peer else DUPLICATE_ELSEWHERE,
        )
    if address.wanted and not address.present:
        yield ReasonStatus(
            code="ADDRESS_MISSING",
            text=f"the virtual address {address.address} is not on {address.interface}",
            evidence="it is wanted here and was not added yet",
            remedy="check that the interface exists and is up",
        )


def _orders(state: State, now_ms: int, refused: str) -> OrdersStatus:
    beat = state.peer.beat if network_alive(state, now_ms) else None
    return OrdersStatus(
        here=state.orders.generation,
        there=None if beat is None else beat.generation,
        equal=beat is not None and beat.digest == digest(state.newest),
        enabled=state.orders.enabled,
        refused=refused,
        pending=state.pending is not None,
        waits=state.missing,
    )


def _peer(state: State, now_ms: int) -> PeerStatus:
    beat, peer = state.peer.beat, state.peer
    name = state.orders.controller(state.orders.side.other)
    if beat is None:
        return PeerStatus(controller=name, age_ms=now_ms - max(peer.heard_ms) if peer.ever else None)
    return PeerStatus(
        controller=name,
        role=GUARANTEES[beat.phase].role.value,
        phase=beat.phase.value,
        age_ms=now_ms - max(peer.heard_ms),
        able=beat.able,
    )


def _channels(state: State, now_ms: int) -> tuple[ChannelStatus, ...]:
    return tuple(
        ChannelStatus(
            name=channel.name,
            kind="interlink" if channel.kind is ChannelKind.INTERLINK else "critical",
            age_ms=now_ms - heard_ms,
            limit_ms=state.orders.timers.silence_ms,
        )
        for channel, heard_ms in zip(state.orders.channels, state.peer.heard_ms, strict=False)
    )


def _record(state: State, now_ms: int) -> ChannelStatus:
    """The disk heartbeat of the peer. Only an owner of the pools writes one."""
    beat = state.peer.beat
    return ChannelStatus(
        name="disk record",
        kind="disk",
        age_ms=now_ms - state.peer.heard_ms[-1],
        limit_ms=state.orders.timers.stale_ms,
        expected=beat is not None and beat.phase in OWNING,
    )
