"""Power fencing: cuts the peer's power through its switch, and tells the core when the peer is proven to be off.

Decides when the switch is asked: for a regular check, for a cut that follows a claim (`core/power/cut`), for an
operator, and to restore power after an automatic cut. Claim, import and addresses never wait for it. Leaves fence
agents and their secrets to `system/power`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.events import PeerDied
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.refusal import Refused
from reconciler.core.failover.reservations.reservation_state import Hold
from reconciler.core.power.cut import CUTTING, cause, cuts, proves, sign_of_life_since
from reconciler.core.power.plan import PowerAction, PowerPlan, PowerState, PowerSwitch
from reconciler.core.status.timeline import EventMark
from reconciler.core.status.watchdog import PowerStatus, ReasonStatus
from reconciler.system.node import Node
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.event_loop import monotonic_ms
from reconciler.watchdog.worker_pool import WorkerAnswer
from reconciler.watchdog.worker_protocol import PowerReply, SwitchPower

#: Number of tries of a cut or of restoring power, and the delay between them.
TRIES_MAX: Final = 3
RETRY_MS: Final = 3_000
#: After this many contradictory answers in a row, treat the switch as that of another machine.
CONTRADICTIONS_MAX: Final = 2
#: After a cut, the peer must be silent within this multiple of the limit of silence.
QUIET_FACTOR: Final = 3
CONTRADICTION: Final = "it says off, and the peer is heard"


class SwitchPurpose(Enum):
    """Why the switch is asked."""

    CHECK = auto()
    FENCE = auto()
    RESTART = auto()
    PERSON = auto()


class PowerPort(Protocol):
    """What runs fence agents (`dispatcher`)."""

    on_power_reply: Callable[[WorkerAnswer], None]

    def set_power_wanted(self, *, wanted: bool) -> None:
        """Start the worker for fence agents, or let it end."""

    def request_power(self, request: SwitchPower, within_ms: int) -> bool:
        """Ask the agent. False if that is not possible now."""
        ...

    def abandon_power(self) -> None:
        """Kill the agent that is being asked."""


@dataclass(slots=True)
class _SwitchTask:
    """One request to the switch."""

    deed: PowerAction
    purpose: SwitchPurpose
    begun: bool = False


class PowerFencing:
    """Controls the power of the peer. `finished_count`: the number of operators' requests that have ended."""

    def __init__(
        self,
        daemon: Daemon,
        board: PowerPort,
        node: Node,
        note: Callable[[EventMark, str, str, str], None],
    ) -> None:
        self._daemon, self._workers, self._note = daemon, board, note
        self._secrets = tuple((name, str(path)) for name, path in node.power)
        self._bound = node.power_for
        self._programs = {name: str(path) for name, path in node.fence_agents}
        board.on_power_reply = self._handle_answer
        self._plan: PowerPlan | None = None
        self._plan_refusal = ""
        self._task: _SwitchTask | None = None
        #: A cut that the switch has confirmed, and the moment by which the peer must be silent.
        self._confirmed_cut: tuple[_SwitchTask, int] | None = None
        self._cause: Code | None = None
        #: When the cut became due; None if no cut is due.
        self._cut_due_ms: int | None = None
        self._proven_ms: int | None = None
        self._power_on_due = False
        self._failed_tries = self._contradictions = 0
        self.finished_count = 0
        self._retry_at_ms = self._check_at_ms = 0
        self._power, self._checked_ms = PowerState.UNKNOWN, 0
        self._ever_asked = self._working = self._last_succeeded = False
        self._failure = self._last = ""

    # Events ----------------------------------------------------------------------------------------------------------

    def set_plan(self, plan: PowerPlan | Refused | None) -> None:
        """Use the plan that the agent published. None: there is no plan."""
        before = self._switch
        self._plan_refusal = f"the power plan is {plan}" if isinstance(plan, Refused) else ""
        self._plan = plan if isinstance(plan, PowerPlan) else None
        if self._switch != before:
            self._check_at_ms = self._contradictions = 0
            self._ever_asked, self._failure, self._power = False, "", PowerState.UNKNOWN
        self.start_if_due()

    def phase_changed(self, after: State) -> None:
        """Start immediately what follows from a change of phase."""
        self._cause = cause(after, self._cause)
        if after.phase is Phase.CLAIMING:
            self._failed_tries = 0
        self._start_what_is_due(after)

    def start_if_due(self) -> None:
        """Start what is due. Called with every heartbeat."""
        core = self._daemon.core
        if core is not None:
            self._start_what_is_due(core)

    def requested(self, deed: PowerAction, word: str) -> tuple[bool, str, str]:
        """Take an operator's request. Returns whether it is accepted, a code, and a sentence."""
        core, switch = self._daemon.core, self._switch
        if core is None or switch is None:
            return False, "NO_POWER", self._plan_refusal or "no power fencing is configured for the peer"
        name = core.orders.controller(core.orders.side.other)
        if deed is PowerAction.OFF and word != name:
            return False, "WORD", f"the word is the name of the controller that shall be off, {name}"
        busy = self._confirmed_cut[0] if self._confirmed_cut is not None else self._task
        if busy is not None and busy.purpose is not SwitchPurpose.CHECK:
            return False, "BUSY", f"the power switch is being asked already: {busy.deed}"
        self._queue(_SwitchTask(deed, SwitchPurpose.PERSON))
        return True, "ACCEPTED", f"{switch.agent} is asked: {deed}"

    def activity(self) -> str:
        """The activity that a hand-over to another daemon would lose; "" without one."""
        check = self._task is None or self._task.purpose is SwitchPurpose.CHECK
        due = self._confirmed_cut is not None or self._cut_due_ms is not None or self._power_on_due
        return "" if check and not due else "the peer's power is being switched"

    # Requests to the switch ------------------------------------------------------------------------------------------

    @property
    def _switch(self) -> PowerSwitch | None:
        core = self._daemon.core
        if core is None or self._plan is None or self._plan.pair != core.orders.pair:
            return None
        return self._plan.of(core.orders.side.other)

    def _start_what_is_due(self, core: State) -> None:
        now_ms, switch, plan = monotonic_ms(), self._switch, self._plan
        self._workers.set_power_wanted(wanted=switch is not None)
        if switch is None or plan is None:
            self._task = self._confirmed_cut = self._cut_due_ms = None
            return
        if self._confirmed_cut is not None:
            self._await_silence(core, *self._confirmed_cut, now_ms)
            return
        if self._proven_ms is not None and sign_of_life_since(core, self._proven_ms):
            self._proven_ms, self._power_on_due = None, False
        self._judge_cut(core, now_ms)
        if self._cut_due_ms is not None:
            off = self._task is not None and self._task.deed is PowerAction.OFF
            fencing = self._task is not None and self._task.purpose is SwitchPurpose.FENCE
            if not (off or fencing) and now_ms >= self._retry_at_ms:
                self._queue(_SwitchTask(PowerAction.OFF, SwitchPurpose.FENCE))
        elif self._task is None and self._power_on_due and core.phase is Phase.ACTIVE and now_ms >= self._retry_at_ms:
            self._queue(_SwitchTask(PowerAction.ON, SwitchPurpose.RESTART))
        elif self._task is None and now_ms >= self._check_at_ms:
            self._queue(_SwitchTask(PowerAction.STATUS, SwitchPurpose.CHECK))
        self._ask_agent(switch, core)

    def _judge_cut(self, core: State, now_ms: int) -> None:
        """Decide whether an automatic cut is due, or no longer."""
        if self._cut_due_ms is None:
            able = self._failed_tries < TRIES_MAX and self._contradictions < CONTRADICTIONS_MAX
            if able and cuts(core, self._cause, proven=self._proven_ms is not None):
                self._cut_due_ms, self._retry_at_ms = now_ms, 0
        elif core.phase not in (*CUTTING, Phase.ACTIVE) or not core.orders.enabled:
            self._cancel_cut(f"this controller is {core.phase.value}")
        elif sign_of_life_since(core, self._cut_due_ms):
            self._cancel_cut("the peer is heard again")

    def _cancel_cut(self, why: str) -> None:
        self._cut_due_ms = None
        if self._task is not None and self._task.purpose is SwitchPurpose.FENCE and not self._task.begun:
            self._task = None
        self._note(EventMark.NOTE, "POWER", "the peer's power is not cut any more", why)

    def _queue(self, task: _SwitchTask) -> None:
        if self._task is not None and self._task.begun:
            self._workers.abandon_power()
        if self._task is not None and self._task.purpose is SwitchPurpose.PERSON:
            self.finished_count += 1
            self._last_succeeded, self._last = False, "given up: the peer's power must be cut first"
        self._task = task

    def _ask_agent(self, switch: PowerSwitch, core: State) -> None:
        task = self._task
        if task is None or task.begun:
            return
        if task.purpose is SwitchPurpose.FENCE and task.deed is PowerAction.OFF:
            # The reservation must be proven now, not only when the cut became due.
            if core.looks.hold is not Hold.OURS:
                return
            assert self._cause in (Code.PEER_SILENT, Code.PEER_DEAD), self._cause
            assert core.phase in (*CUTTING, Phase.ACTIVE) and core.orders.enabled, core.phase
        request = SwitchPower(
            task.deed,
            switch.agent,
            tuple((option.name, option.value) for option in switch.options),
            self._secrets,
            self._programs.get(switch.agent, ""),
            self._bound,
        )
        task.begun = self._workers.request_power(request, switch.timeout_ms)
        if task.begun and task.deed is not PowerAction.STATUS:
            self._note(EventMark.NOTE, "POWER", f"the peer's power switch is asked: {task.deed}", switch.agent)

    # Answers of the switch -------------------------------------------------------------------------------------------

    def _handle_answer(self, answered: WorkerAnswer) -> None:
        task, core, now_ms = self._task, self._daemon.core, answered.answered_ms
        if task is None or core is None or not task.begun:
            return
        self._task = None
        reply = answered.reply
        if not isinstance(reply, PowerReply):
            reply = PowerReply(False, PowerState.UNKNOWN, getattr(reply, "why", ""))
        self._ever_asked, self._working, self._checked_ms = (
            True,
            reply.ok or reply.power is not PowerState.UNKNOWN,
            now_ms,
        )
        self._power = PowerState.ON if reply.ok and task.deed is PowerAction.ON else reply.power
        self._failure = "" if reply.ok else reply.why
        assert self._plan is not None
        self._check_at_ms = now_ms + self._plan.check_ms
        if reply.power is PowerState.OFF:
            self._handle_off(core, task, now_ms)
        else:
            self._contradictions = 0 if reply.ok else self._contradictions
            self._finish(task, reply, now_ms)
        self.start_if_due()

    def _handle_off(self, core: State, task: _SwitchTask, now_ms: int) -> None:
        """The switch says off. While the peer is heard, that proves nothing; repeated, it disqualifies the switch."""
        if task.deed is PowerAction.OFF:
            limit_ms = now_ms + QUIET_FACTOR * max(core.orders.timers.silence_ms, core.orders.timers.stale_ms)
            self._confirmed_cut = (task, limit_ms)
        elif proves(core, now_ms):
            # A wrong switch may say this, too. Only "on", while the peer is on, clears the count of contradictions.
            self._finish(task, PowerReply(True, PowerState.OFF), now_ms)
        else:
            self._contradictions += 1
            self._check_at_ms = now_ms + max(core.orders.timers.silence_ms, core.orders.timers.stale_ms)
            self._finish(task, PowerReply(False, PowerState.OFF, CONTRADICTION), now_ms)

    def _await_silence(self, core: State, task: _SwitchTask, limit_ms: int, now_ms: int) -> None:
        """After a cut: prove that the peer is off, or disqualify the switch when the time is over."""
        if proves(core, now_ms):
            self._confirmed_cut, self._contradictions = None, 0
            self._peer_is_off(core, task, now_ms)
        elif now_ms >= limit_ms:
            self._confirmed_cut, self._contradictions = None, CONTRADICTIONS_MAX
            self._finish(task, PowerReply(False, PowerState.OFF, CONTRADICTION), now_ms)

    def _peer_is_off(self, core: State, task: _SwitchTask, now_ms: int) -> None:
        name, agent = core.orders.controller(core.orders.side.other), self._switch.agent if self._switch else ""
        self._power_on_due = task.purpose is SwitchPurpose.FENCE and self._plan is not None and self._plan.restart
        self._proven_ms = now_ms
        self._cut_due_ms, self._failed_tries, self._retry_at_ms = None, 0, 0
        self._note(EventMark.NOTE, "POWER", "the peer is proven to be off", f"{agent} says that {name} is off")
        self._finish(task, PowerReply(True, PowerState.OFF), now_ms)
        self._daemon.handle_now(PeerDied(agent))

    def _finish(self, task: _SwitchTask, reply: PowerReply, now_ms: int) -> None:
        if task.purpose is SwitchPurpose.PERSON:
            self.finished_count += 1
            self._last_succeeded, self._last = reply.ok, reply.why
        if task.deed is PowerAction.ON and reply.ok:
            self._power_on_due, self._failed_tries, self._proven_ms = False, 0, None
        elif task.purpose in (SwitchPurpose.FENCE, SwitchPurpose.RESTART) and not reply.ok:
            self._count_failure(now_ms, reply.why)

    def _count_failure(self, now_ms: int, why: str) -> None:
        self._failed_tries += 1
        self._failure, self._retry_at_ms = why, now_ms + RETRY_MS
        self._note(EventMark.NOTE, "POWER", "the peer's power switch failed", why)
        if self._failed_tries >= TRIES_MAX or self._contradictions >= CONTRADICTIONS_MAX:
            self._cut_due_ms, self._power_on_due = None, False

    # Status ----------------------------------------------------------------------------------------------------------

    def status(self) -> PowerStatus | None:
        """The rows of the status; None if no switch is configured."""
        core, switch = self._daemon.core, self._switch
        if core is None or switch is None:
            return None
        doing = self._confirmed_cut[0] if self._confirmed_cut is not None else self._task
        return PowerStatus(
            controller=core.orders.controller(core.orders.side.other),
            agent=switch.agent,
            power=self._power.value,
            working=self._working and self._contradictions < CONTRADICTIONS_MAX,
            checked_age_ms=monotonic_ms() - self._checked_ms if self._ever_asked else None,
            doing=doing.deed.value if doing is not None else "",
            proven=self._proven_ms is not None,
            turns=self.finished_count,
            well=self._last_succeeded,
            last=self._last,
            timeout_ms=switch.timeout_ms,
        )

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """Problems of power fencing, if it is configured."""
        found = []
        if self._contradictions >= CONTRADICTIONS_MAX:
            found.append(
                ReasonStatus(
                    code="POWER_WRONG",
                    text="the peer's power switch says off while the peer is heard: it is that of another machine",
                    evidence=self._switch.agent if self._switch else "",
                    remedy="correct `power` of the Failover; until then nothing is cut by itself",
                )
            )
        elif self._plan_refusal or self._failure:
            found.append(
                ReasonStatus(
                    code="POWER_FAILED",
                    text="power fencing is configured and does not work",
                    evidence=self._plan_refusal or self._failure,
                    remedy="look at the switch, the way to it and [power] of the node file; try `hagit power status`",
                )
            )
        if self._proven_ms is not None:
            found.append(
                ReasonStatus(
                    code="POWER_CUT",
                    text="the peer's power was cut from here",
                    evidence=f"{monotonic_ms() - self._proven_ms} ms ago",
                    remedy="`hagit power on` when it may come back",
                )
            )
        return tuple(found)
