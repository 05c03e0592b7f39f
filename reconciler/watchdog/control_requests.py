"""Control requests of operators: turns them into events of the core, and answers them.

Decides what an override is. Disabling failover for a time is maintenance with another name in the status. Enabling
failover against orders that disable it is refused: both controllers must agree, and only a commit reaches both. The
timeline gets every request with its caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from reconciler.core.failover.machine.events import Request as Wish
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.power.plan import PowerAction
from reconciler.core.status.timeline import EventMark, event_document
from reconciler.core.status.watchdog import watchdog_document
from reconciler.system.control_protocol import ControlAnswer, ControlRequest, RequestKind
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.power_fencing import PowerFencing
from reconciler.watchdog.status_publisher import StatusPublisher
from reconciler.watchdog.timeline import Timeline

#: Number of timeline events in an answer if the caller names none.
EVENTS_COUNT: Final = 100


class ControlRequests:
    """Answers one request after another. Never waits."""

    def __init__(
        self,
        daemon: Daemon,
        timeline: Timeline,
        publisher: StatusPublisher,
        power: PowerFencing,
        replace: Callable[[], str],
        adopted: Callable[[], int],
    ) -> None:
        self._daemon, self._timeline, self._publisher, self._power = daemon, timeline, publisher, power
        self._replace, self._adopt = replace, adopted

    def answer(self, request: ControlRequest) -> ControlAnswer:
        """Follow the request, or answer why not."""
        kind = request.kind
        if kind is RequestKind.STATUS:
            return ControlAnswer(True, document={"status": watchdog_document(self._publisher.status())})
        if kind is RequestKind.TIMELINE:
            events = list(self._timeline.events)[-(request.count or EVENTS_COUNT) :]
            return ControlAnswer(True, document={"events": [event_document(event) for event in events]})
        if kind in (RequestKind.REPLACE, RequestKind.ADOPT) and request.caller.uid != 0:
            return ControlAnswer(False, "PERMISSION", "only root may ask for that")
        if kind is RequestKind.ADOPT:
            return ControlAnswer(True, "ACCEPTED", "this process is the daemon", {"pid": self._adopt()})
        if self._daemon.core is None:
            return ControlAnswer(False, "NO_ORDERS", f"the watchdog follows no orders: {self._daemon.orders_refusal}")
        answer = self._act(request)
        if not answer.accepted:
            self._timeline.add(EventMark.NOTE, kind.name, f"refused: {answer.text}", str(request.caller))
        self._publisher.write()
        return answer

    def _act(self, request: ControlRequest) -> ControlAnswer:
        match request.kind:
            case RequestKind.SWITCHOVER:
                return self._ask_core(request, Wish.SWITCHOVER, "the pools are being released; the peer takes over")
            case RequestKind.FORCE_ACTIVATE:
                return self._force(request)
            case RequestKind.MAINTENANCE:
                return self._set_maintenance(request, 0 if request.end else request.duration_ms, override=False)
            case RequestKind.OVERRIDE:
                return self._override(request)
            case RequestKind.RELENT:
                self._publisher.override = False
                self._daemon.durable.set_maintenance(None)
                return self._ask_core(request, Wish.RELENT, "maintenance and the stay after resets are over")
            case RequestKind.DRILL:
                self._timeline.add(EventMark.DRILL, evidence=request.note)
                return self._ask_core(request, Wish.SWITCHOVER, "the drill begins: the pools are being released")
            case RequestKind.POWER:
                return self._switch_power(request)
            case RequestKind.REPLACE:
                refused = self._replace()
                return ControlAnswer(
                    not refused, "REFUSED" if refused else "ACCEPTED", refused or "a new daemon is started"
                )
            case RequestKind.STATUS | RequestKind.TIMELINE | RequestKind.ADOPT:
                raise AssertionError("answered before")
            case _:
                assert_never(request.kind)

    def _ask_core(self, request: ControlRequest, wish: Wish, text: str, duration_ms: int = 0) -> ControlAnswer:
        self._timeline.add_request(request.kind.name, str(request.caller))
        self._daemon.requested(wish, duration_ms)
        core = self._daemon.core
        assert core is not None
        refused = core.refused
        return (
            ControlAnswer(True, "ACCEPTED", text)
            if refused is None
            else ControlAnswer(False, refused.code.name, str(refused))
        )

    def _force(self, request: ControlRequest) -> ControlAnswer:
        """The confirming word is the name of this controller: an operator who types it knows which one will serve."""
        core = self._daemon.core
        assert core is not None
        name = core.orders.controller(core.orders.side)
        if request.word != name:
            return ControlAnswer(False, "WORD", f"the word is the name of this controller, {name}")
        if core.phase is Phase.ACTIVE:
            return ControlAnswer(False, "NOT_STANDBY", "this controller is active already")
        return self._ask_core(request, Wish.FORCE, "the claim begins, whatever the peer does")

    def _switch_power(self, request: ControlRequest) -> ControlAnswer:
        deed = PowerAction(request.deed or PowerAction.STATUS)
        accepted, code, text = self._power.requested(deed, request.word)
        if accepted and deed is not PowerAction.STATUS:
            self._timeline.add(EventMark.NOTE, request.kind.name, f"asked for: {deed}", str(request.caller))
        turn = self._power.finished_count + 1
        self._power.start_if_due()
        return ControlAnswer(accepted, code, text, {"turn": turn} if accepted else {})

    def _override(self, request: ControlRequest) -> ControlAnswer:
        core = self._daemon.core
        assert core is not None
        if request.enabled and not request.end and not core.orders.enabled:
            text = "the orders disable failover on both controllers; only a commit enables it on both"
            return ControlAnswer(False, "DISABLED", text)
        ends = request.end or request.enabled
        return self._set_maintenance(request, 0 if ends else request.duration_ms, override=not ends)

    def _set_maintenance(self, request: ControlRequest, duration_ms: int, *, override: bool) -> ControlAnswer:
        core = self._daemon.core
        assert core is not None
        duration_ms = min(duration_ms, core.orders.timers.maintenance_ms)
        self._publisher.override = override and duration_ms > 0
        self._daemon.durable.set_maintenance(duration_ms / 1_000 if duration_ms else None, self._publisher.override)
        text = f"this controller begins nothing by itself for {duration_ms // 1_000} s" if duration_ms else "it is over"
        return self._ask_core(request, Wish.MAINTENANCE, text, duration_ms)


def resume_maintenance(daemon: Daemon, publisher: StatusPublisher) -> None:
    """Continue maintenance that an earlier daemon was asked for."""
    durable = daemon.durable
    left_ms = int(durable.maintenance_left_s() * 1_000)
    if left_ms > 0 and daemon.core is not None:
        # At most as long as the orders allow, whatever the file says.
        left_ms = min(left_ms, daemon.core.orders.timers.maintenance_ms)
        durable.set_maintenance(left_ms / 1_000, durable.override)
        publisher.override = durable.override
        daemon.requested(Wish.MAINTENANCE, left_ms)
