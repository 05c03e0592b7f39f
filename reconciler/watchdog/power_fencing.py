"""Power fencing: the second means. Asks the peer's power switch, and tells the core when it is proven to be off.

Decides what the switch is asked and when: a check now and then, a cut that follows a claim (`core/power/cut`), what a
person wants, and power again after a cut by itself. Does not know agents, nor anything secret (`system/power`), and
nothing waits for it: the claim, the import and the addresses go on beside it.
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
from reconciler.core.power.cut import CUTTING, cause, cuts, heard_since, proves
from reconciler.core.power.plan import PowerAction, PowerPlan, PowerState, PowerSwitch
from reconciler.core.status.timeline import EventMark
from reconciler.core.status.watchdog import PowerStatus, ReasonStatus
from reconciler.system.node import Node
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.event_loop import monotonic_ms
from reconciler.watchdog.worker_pool import WorkerAnswer
from reconciler.watchdog.worker_protocol import PowerReply, SwitchPower

#: A cut, or power again, that failed is tried so often, with so long between.
TRIES_MAX: Final = 3
RETRY_MS: Final = 3_000
#: So many answers in a row that cannot be true make a switch the wrong one.
LIES_MAX: Final = 2
#: After a cut, so many times the silence that counts until the peer has to be silent.
QUIET_FACTOR: Final = 3
LIES: Final = "it says off, and the peer is heard"


class SwitchPurpose(Enum):
    """Why the switch is asked."""

    CHECK = auto()
    FENCE = auto()
    RESTART = auto()
    PERSON = auto()


class PowerPort(Protocol):
    """Whoever runs agents (`work`)."""

    on_power_reply: Callable[[WorkerAnswer], None]

    def set_power_wanted(self, *, wanted: bool) -> None:
        """Whether there is an agent to be asked."""

    def request_power(self, request: SwitchPower, within_ms: int) -> bool:
        """Begin; False: not now."""
        ...

    def abandon_power(self) -> None:
        """Give up what is being asked."""


@dataclass(slots=True)
class _SwitchTask:
    """What the switch is asked."""

    deed: PowerAction
    purpose: SwitchPurpose
    begun: bool = False


class PowerFencing:
    """One controller's hand on the power of the other."""

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
        #: A cut that the switch has confirmed, and until when the peer has to be silent.
        self._confirmed_cut: tuple[_SwitchTask, int] | None = None
        self._cause: Code | None = None
        #: Since when a cut is due; None when none is.
        self._cut_due_ms: int | None = None
        self._proven_ms: int | None = None
        self._power_on_due = False
        self._failed_tries = self._contradictions = 0
        #: What people asked for and what has ended.
        self.finished_count = 0
        self._retry_at_ms = self._check_at_ms = 0
        self._power, self._checked_ms = PowerState.UNKNOWN, 0
        self._ever_asked = self._working = self._last_succeeded = False
        self._failure = self._last = ""

    # What is told to it ----------------------------------------------------------------------------------------------

    def set_plan(self, plan: PowerPlan | Refused | None) -> None:
        """The plan that the agent published; None when there is none."""
        before = self._switch
        self._plan_refusal = f"the power plan is {plan}" if isinstance(plan, Refused) else ""
        self._plan = plan if isinstance(plan, PowerPlan) else None
        if self._switch != before:
            self._check_at_ms = self._contradictions = 0
            self._ever_asked, self._failure, self._power = False, "", PowerState.UNKNOWN
        self.consider()

    def phase_changed(self, after: State) -> None:
        """The phase changed; what follows from it is begun at once."""
        self._cause = cause(after, self._cause)
        if after.phase is Phase.CLAIMING:
            self._failed_tries = 0
        self._start_what_is_due(after)

    def consider(self) -> None:
        """Whether something is due; to be called with every beat."""
        core = self._daemon.core
        if core is not None:
            self._start_what_is_due(core)

    def requested(self, deed: PowerAction, word: str) -> tuple[bool, str, str]:
        """A person asks: whether it is followed, a code, and a sentence."""
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
        """What would be forgotten if another daemon went on now; "" when nothing would."""
        check = self._task is None or self._task.purpose is SwitchPurpose.CHECK
        due = self._confirmed_cut is not None or self._cut_due_ms is not None or self._power_on_due
        return "" if check and not due else "the peer's power is being switched"

    # What is due -----------------------------------------------------------------------------------------------------

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
        if self._proven_ms is not None and heard_since(core, self._proven_ms):
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
        """Whether a cut is due by itself, or no longer."""
        if self._cut_due_ms is None:
            able = self._failed_tries < TRIES_MAX and self._contradictions < LIES_MAX
            if able and cuts(core, self._cause, proven=self._proven_ms is not None):
                self._cut_due_ms, self._retry_at_ms = now_ms, 0
        elif core.phase not in (*CUTTING, Phase.ACTIVE) or not core.orders.enabled:
            self._cancel_cut(f"this controller is {core.phase.value}")
        elif heard_since(core, self._cut_due_ms):
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
            self._last_succeeded, self._last = False, "given up: the peer has to be cut"
        self._task = task

    def _ask_agent(self, switch: PowerSwitch, core: State) -> None:
        task = self._task
        if task is None or task.begun:
            return
        if task.purpose is SwitchPurpose.FENCE and task.deed is PowerAction.OFF:
            # Proven now, and not only when it became due.
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

    # What comes of it ------------------------------------------------------------------------------------------------

    def _handle_answer(self, answered: WorkerAnswer) -> None:
        task, core, now_ms = self._task, self._daemon.core, answered.answered_ms
        if task is None or core is None or not task.begun:
            return
        self._task = None
        reply = answered.reply
        told = (
            reply if isinstance(reply, PowerReply) else PowerReply(False, PowerState.UNKNOWN, getattr(reply, "why", ""))
        )
        self._ever_asked, self._working, self._checked_ms = (
            True,
            told.ok or told.power is not PowerState.UNKNOWN,
            now_ms,
        )
        self._power = PowerState.ON if told.ok and task.deed is PowerAction.ON else told.power
        self._failure = "" if told.ok else told.why
        assert self._plan is not None
        self._check_at_ms = now_ms + self._plan.check_ms
        if told.power is PowerState.OFF:
            self._handle_off(core, task, now_ms)
        else:
            self._contradictions = 0 if told.ok else self._contradictions
            self._finish(task, told, now_ms)
        self.consider()

    def _handle_off(self, core: State, task: _SwitchTask, now_ms: int) -> None:
        """The switch says off. Of a peer that is heard that proves nothing yet, and nothing ever if it goes on."""
        if task.deed is PowerAction.OFF:
            limit_ms = now_ms + QUIET_FACTOR * max(core.orders.timers.silence_ms, core.orders.timers.stale_ms)
            self._confirmed_cut = (task, limit_ms)
        elif proves(core, now_ms):
            # That a wrong switch may say as well: only "on", of a peer that is on, clears it.
            self._finish(task, PowerReply(True, PowerState.OFF), now_ms)
        else:
            self._contradictions += 1
            self._check_at_ms = now_ms + max(core.orders.timers.silence_ms, core.orders.timers.stale_ms)
            self._finish(task, PowerReply(False, PowerState.OFF, LIES), now_ms)

    def _await_silence(self, core: State, task: _SwitchTask, limit_ms: int, now_ms: int) -> None:
        """What follows a cut: the proof, or the end of the belief in this switch."""
        if proves(core, now_ms):
            self._confirmed_cut, self._contradictions = None, 0
            self._peer_is_off(core, task, now_ms)
        elif now_ms >= limit_ms:
            self._confirmed_cut, self._contradictions = None, LIES_MAX
            self._finish(task, PowerReply(False, PowerState.OFF, LIES), now_ms)

    def _peer_is_off(self, core: State, task: _SwitchTask, now_ms: int) -> None:
        name, agent = core.orders.controller(core.orders.side.other), self._switch.agent if self._switch else ""
        self._power_on_due = task.purpose is SwitchPurpose.FENCE and self._plan is not None and self._plan.restart
        self._proven_ms = now_ms
        self._cut_due_ms, self._failed_tries, self._retry_at_ms = None, 0, 0
        self._note(EventMark.NOTE, "POWER", "the peer is proven to be off", f"{agent} says that {name} is off")
        self._finish(task, PowerReply(True, PowerState.OFF), now_ms)
        self._daemon.handle_now(PeerDied(agent))

    def _finish(self, task: _SwitchTask, told: PowerReply, now_ms: int) -> None:
        if task.purpose is SwitchPurpose.PERSON:
            self.finished_count += 1
            self._last_succeeded, self._last = told.ok, told.why
        if task.deed is PowerAction.ON and told.ok:
            self._power_on_due, self._failed_tries, self._proven_ms = False, 0, None
        elif task.purpose in (SwitchPurpose.FENCE, SwitchPurpose.RESTART) and not told.ok:
            self._count_failure(now_ms, told.why)

    def _count_failure(self, now_ms: int, why: str) -> None:
        self._failed_tries += 1
        self._failure, self._retry_at_ms = why, now_ms + RETRY_MS
        self._note(EventMark.NOTE, "POWER", "the peer's power switch failed", why)
        if self._failed_tries >= TRIES_MAX or self._contradictions >= LIES_MAX:
            self._cut_due_ms, self._power_on_due = None, False

    # What is told of it ----------------------------------------------------------------------------------------------

    def status(self) -> PowerStatus | None:
        """What there is to tell; None where no switch is configured."""
        core, switch = self._daemon.core, self._switch
        if core is None or switch is None:
            return None
        doing = self._confirmed_cut[0] if self._confirmed_cut is not None else self._task
        return PowerStatus(
            controller=core.orders.controller(core.orders.side.other),
            agent=switch.agent,
            power=self._power.value,
            working=self._working and self._contradictions < LIES_MAX,
            checked_age_ms=monotonic_ms() - self._checked_ms if self._ever_asked else None,
            doing=doing.deed.value if doing is not None else "",
            proven=self._proven_ms is not None,
            turns=self.finished_count,
            well=self._last_succeeded,
            last=self._last,
            timeout_ms=switch.timeout_ms,
        )

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """What is wrong with power fencing, where it is configured."""
        found = []
        if self._contradictions >= LIES_MAX:
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
