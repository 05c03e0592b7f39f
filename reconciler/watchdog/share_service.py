"""Shares: starts and stops their servers as the core wants it, and tells the core whether they serve.

The agent's document says what is served; the core says when. A worker process starts and stops the servers
(`share_worker`), another one looks at them: every second while this controller serves, more often while a server
starts. Where there is nothing to serve and no server may run, no worker exists and the core never waits.

A document that cannot be opened, or that another pair's agent wrote, replaces nothing: the last good one is served.
Leaves rows and reasons of the status to `share_status`, and the order of addresses, servers and pools to the core.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Final, Protocol

from reconciler.core.failover.machine.events import SharesSeen, Tick, all_servers
from reconciler.core.failover.machine.phase import Phase, Thing
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.refusal import Refused
from reconciler.core.shares import shares as share_values
from reconciler.core.shares.ports import ServerView, Serving, ShareProblem
from reconciler.core.shares.shares import Shares
from reconciler.core.status.timeline import EventMark
from reconciler.system.findings import Finding
from reconciler.system.shares.kept_shares import note_serving, noted_serving
from reconciler.system.shares.servers import NAMES, Views, protocols_of
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.event_loop import monotonic_ms
from reconciler.watchdog.followed_shares import FollowedShares
from reconciler.watchdog.guard_schedule import GuardSchedule
from reconciler.watchdog.worker_pool import WorkerAnswer
from reconciler.watchdog.worker_protocol import (
    FailedReply,
    GuardClients,
    GuardStep,
    LookAtShares,
    ServeShares,
    ShareRequest,
    SharesReply,
    StopShares,
    WorkerReply,
)

#: A start may take this long. The core lets the addresses wait for a shorter time (`SERVE_MS`).
START_MS: Final = 30_000
LOOK_WITHIN_MS: Final = 3_000
#: Time for ending the clients' connections in a release, and for other steps of the guard.
GUARD_MS: Final = 400
OPEN_MS: Final = 3_000
#: Intervals of looks: while a server starts, while this controller serves, and on a standby.
STARTING_MS: Final = 250
ACTIVE_MS: Final = 1_000
STANDBY_MS: Final = 10_000
#: Delay before a start is tried again: doubled from the first to the last of these.
RETRY_MS: Final = 1_000
RETRY_MS_MAX: Final = 60_000
#: Delay before a stop is tried again.
STOP_RETRY_MS: Final = 200
#: Findings with such a code mean that packets do not pass.
FILTER: Final = "port-filter"
#: The timeline names at most this many steps of a start.
STEPS_SHOWN_MAX: Final = 12


class ShareGoal(Enum):
    """What the core wants of the servers."""

    SERVE = auto()
    KEEP = auto()
    STOP = auto()


class ShareWorkerPort(Protocol):
    """What starts, stops and looks at servers (`dispatcher`)."""

    on_shares_reply: Callable[[WorkerAnswer], None]
    on_workers_changed: Callable[[], None]

    def set_shares_wanted(self, *, wanted: bool) -> None:
        """Start both workers for shares, or let them end."""

    def request_shares(self, request: ShareRequest, within_ms: int) -> bool:
        """Make a request. False if its worker is busy or missing."""
        ...

    def abandon_start(self) -> None:
        """Kill the worker that starts servers, so that the next one stops them."""


class ShareService:
    """The servers of shares of one daemon. `run`: the run directory. `chap`: names and files of CHAP secrets.

    The attributes are for `share_status`: `views` of the last look or change, `running`: servers that may run,
    `findings`: what fails for the clients, by the request that found it.
    """

    def __init__(
        self,
        daemon: Daemon,
        board: ShareWorkerPort,
        run: Path,
        chap: tuple[tuple[str, str], ...],
        note: Callable[[EventMark, str, str, str], None],
    ) -> None:
        self._daemon, self._workers, self._run, self._chap, self._note = daemon, board, run, chap, note
        board.on_shares_reply = self._handle_answer
        board.on_workers_changed = self.check
        self.followed = FollowedShares(run, daemon.durable.boot)
        self._guard = GuardSchedule()
        self.findings: dict[str, tuple[Finding, ...]] = {}
        self.goal = ShareGoal.KEEP
        self.running: frozenset[share_values.Protocol] = frozenset()
        self.views: Views = {}
        #: Why a server did not start. A later look cannot know that.
        self.start_problems: dict[share_values.Protocol, tuple[ShareProblem, ...]] = {}
        self.start_ms: dict[share_values.Protocol, int] = {}
        self.stop_ms: dict[share_values.Protocol, int] = {}
        #: Digest of the shares of the last start that returned, and why the last start did not return.
        self._in_force = ""
        self.failure = ""
        self._served_before = False
        self._reported: SharesSeen | None = None
        self._looked = False
        self._up: set[share_values.Protocol] = set()
        #: The change in progress, when it was asked for, and when the last one ended.
        self._change: ShareRequest | None = None
        self._asked_ms = self._changed_ms = 0
        self._failures = self._retry_ms = self._stop_retry_ms = self._look_ms = 0
        self._acting = False

    # Document and core -----------------------------------------------------------------------------------------------

    def set_document(self, document: Shares | Refused | None, body: bytes = b"") -> None:
        """Follow the document that the agent published; `body` is its first line. None: there is no file."""
        self.followed.set_document(document, body)
        self._act()

    def begin(self, *, served: bool = False) -> None:
        """The core exists now. Servers of an earlier daemon may run. `served`: what its predecessor knew of them."""
        self.running = noted_serving(self._run, self._daemon.durable.boot)
        self._up, self._served_before = set(self.running), served
        core = self._daemon.core
        assert core is not None
        self._reported = SharesSeen(core.looks.served, core.looks.stopped)
        self._guard.begin(self.running)
        self.followed.judge(core.orders.pair)
        # The daemon performs the outputs after its own first event.
        self._report(act=False)

    def set_wanted(self, *, wanted: bool, kept: bool) -> None:
        """Serve (`wanted`), leave the servers as they are (`kept`), or stop them (neither)."""
        self.goal = ShareGoal.SERVE if wanted else ShareGoal.KEEP if kept else ShareGoal.STOP
        self._act()

    def check(self) -> None:
        """Do what is due. Called with every heartbeat, and when a worker has changed."""
        self._act()

    @property
    def holds_addresses(self) -> bool:
        """Whether a release keeps the addresses for a moment: the last answers to clients have not left."""
        core = self._daemon.core
        return core is not None and bool(self.shares) and self._guard.holds_addresses(core, monotonic_ms())

    def activity(self) -> str:
        """The change that a hand-over to another daemon must not interrupt; "" without one."""
        return "servers of shares start or stop" if isinstance(self._change, ServeShares | StopShares) else ""

    @property
    def shares(self) -> Shares | None:
        """The shares that are followed; None without any."""
        return self.followed.shares

    # What is due -----------------------------------------------------------------------------------------------------

    def _act(self) -> None:
        core = self._daemon.core
        if core is None or self._reported is None or self._acting:
            return
        self._acting = True
        try:
            if self.followed.judge(core.orders.pair):
                self._failures = self._retry_ms = self._look_ms = 0
            self._workers.set_shares_wanted(wanted=bool(self.shares or self.running))
            now_ms = monotonic_ms()
            if self.goal is ShareGoal.SERVE and self.shares:
                self._serve_if_due(self.shares, now_ms)
            elif self.goal is not ShareGoal.KEEP:
                self._stop_if_due(core, now_ms)
            if self.shares and self.goal is not ShareGoal.KEEP:
                self._guard_if_due(core, now_ms)
            self._look_if_due(now_ms)
        finally:
            self._acting = False
        self._report()

    def _serve_if_due(self, shares: Shares, now_ms: int) -> None:
        if self._change is not None or now_ms < self._retry_ms:
            return
        wanted = frozenset(protocols_of(shares))
        if not self._in_force and self.running:
            if not self._looked:
                # An earlier daemon may have started everything already: look first.
                return
            if self.running == wanted and not self.faulty:
                self._in_force = self.followed.digest
        if self._in_force == self.followed.digest and not self.faulty:
            return
        if self._note_running(self.running | wanted):
            # The core knows that servers may run before the first command.
            self._report()
            others = tuple(sorted(self.running - wanted))
            self._request(ServeShares(self.followed.digest, others, self._chap), START_MS, now_ms)

    def _stop_if_due(self, core: State, now_ms: int) -> None:
        change, releasing = self._change, core.phase is Phase.RELEASING
        guards = isinstance(change, GuardClients) and change.step is not GuardStep.RELEASE
        if isinstance(change, ServeShares) or (guards and releasing):
            self._workers.abandon_start()
            self._change, self._changed_ms = None, now_ms
        if self.holds_addresses:
            # The addresses go first, and the servers after them.
            return
        if self._change is None and self.running and now_ms >= self._stop_retry_ms:
            self._request(StopShares(tuple(sorted(self.running))), core.orders.timers.release_ms, now_ms)

    def _guard_if_due(self, core: State, now_ms: int) -> None:
        outs = self._daemon.outputs
        addresses, digest = outs is not None and Thing.ADDRESSES in outs.wanted, self.followed.digest
        up = frozenset(one for one, view in self.views.items() if view.serving is Serving.UP)
        step = self._guard.due(core, digest, up, now_ms, addresses=addresses)
        if step is None or self._change is not None:
            return
        if self._request(GuardClients(digest, step), GUARD_MS if step is GuardStep.RELEASE else OPEN_MS, now_ms):
            self._guard.started(step, core, digest, up)

    def _request(self, request: ShareRequest, within_ms: int, now_ms: int) -> bool:
        if not self._workers.request_shares(request, within_ms):
            return False
        self._change, self._asked_ms = request, now_ms
        return True

    def _look_if_due(self, now_ms: int) -> None:
        core = self._daemon.core
        assert core is not None
        if not self.shares or isinstance(self._change, StopShares) or now_ms < self._look_ms:
            return
        if core.phase not in (Phase.BOOTING, Phase.STANDBY, Phase.ACTIVE):
            return
        protocols = tuple(sorted({*protocols_of(self.shares), *self.running}))
        request = LookAtShares(self.followed.digest, protocols, self._chap, core.phase is Phase.ACTIVE)
        if self._workers.request_shares(request, LOOK_WITHIN_MS):
            steady_ms = ACTIVE_MS if core.phase is not Phase.STANDBY else STANDBY_MS
            self._look_ms = now_ms + (STARTING_MS if self._change is not None else steady_ms)

    def _note_running(self, running: frozenset[share_values.Protocol]) -> bool:
        """Note which servers may run. False if the file cannot be written: then no other server may start."""
        try:
            if running != self.running:
                note_serving(self._run, self._daemon.durable.boot, running)
        except OSError as error:
            self.failure = f"the run directory cannot be written: {error.strerror}"
            return False
        self.running = running
        return True

    def _handle_answer(self, answered: WorkerAnswer) -> None:
        request, reply, now_ms = answered.request, answered.reply, answered.answered_ms
        views = dict(reply.views) if isinstance(reply, SharesReply) else {}
        if isinstance(reply, SharesReply) and isinstance(request, LookAtShares | GuardClients):
            # What kept packets from being dropped stays true when they pass again.
            opens = isinstance(request, GuardClients) and request.step is GuardStep.OPEN
            self.findings["OpenClients" if opens else type(request).__name__] = reply.findings
        if isinstance(request, LookAtShares):
            self._handle_look(request, views, answered.asked_ms, now_ms)
        elif isinstance(request, GuardClients):
            self._handle_guard(request, reply, now_ms)
        else:
            self._change, self._changed_ms, self._look_ms = None, now_ms, 0
            self.failure = reply.why if isinstance(reply, FailedReply) else ""
            if isinstance(request, ServeShares):
                self._handle_start(request, views, now_ms)
            elif isinstance(request, StopShares):
                self._handle_stop(request, views, now_ms)
        self._act()

    def _handle_start(self, request: ServeShares, views: Views, now_ms: int) -> None:
        took_ms = now_ms - self._asked_ms
        for protocol, view in views.items():
            if protocol not in request.others:
                self.start_ms[protocol] = _sum_ms(view) or took_ms
                self.start_problems[protocol] = tuple(one for one in view.problems if not one.name)
        self._take(views, took_ms)
        if views:
            self._in_force = request.digest
        gone = {protocol for protocol in request.others if _is(views.get(protocol), Serving.DOWN)}
        self._note_running(self.running - gone)
        if self.faulty or not views:
            self._failures += 1
            self._retry_ms = now_ms + min(RETRY_MS_MAX, RETRY_MS << min(self._failures - 1, 10))
        else:
            self._failures = self._retry_ms = 0

    def _handle_stop(self, request: StopShares, views: Views, now_ms: int) -> None:
        took_ms = now_ms - self._asked_ms
        for protocol, view in views.items():
            self.stop_ms[protocol] = _sum_ms(view) or took_ms
        self._take(views, took_ms)
        down = {protocol for protocol in request.protocols if _is(views.get(protocol), Serving.DOWN)}
        self._note_running(self.running - down)
        self._in_force, self._retry_ms, self._failures, self.start_problems = "", 0, 0, {}
        self._stop_retry_ms = now_ms + STOP_RETRY_MS if self.running else 0

    def _handle_guard(self, request: GuardClients, reply: WorkerReply, now_ms: int) -> None:
        self._change = None
        good = isinstance(reply, SharesReply) and not any(one.code.startswith(FILTER) for one in reply.findings)
        self._guard.finished(request.step, now_ms, good=good)
        if request.step is GuardStep.OPEN and isinstance(reply, SharesReply) and good:
            evidence = f"{now_ms - self._asked_ms} ms; {reply.tickled} clients were told to connect again"
            self._note(EventMark.NOTE, "CLIENTS", "packets of clients pass to the shares", evidence)
        elif request.step is GuardStep.RELEASE:
            # The addresses go now, and the servers stop after them.
            self._daemon.handle_now(Tick())

    def _handle_look(self, request: LookAtShares, views: Views, asked_ms: int, now_ms: int) -> None:
        if (
            asked_ms < self._changed_ms
            or request.digest != self.followed.digest
            or isinstance(self._change, StopShares)
        ):
            # It may show what was before the last change.
            self._look_ms = 0
            return
        self._looked = True
        core = self._daemon.core
        if core is not None and core.phase is Phase.STANDBY:
            # An earlier life of this controller, or an operator, started it. A standby stops it.
            found = {one for one, view in views.items() if view.serving in (Serving.UP, Serving.PARTLY)}
            self._note_running(self.running | found)
        self._take(views, now_ms - self._asked_ms)

    def _take(self, views: Views, took_ms: int) -> None:
        """Keep the views. The timeline gets each server that serves now, or no longer."""
        self.views |= views
        for protocol, view in views.items():
            steps = ", ".join(f"{name} {ms} ms" for name, ms in view.steps_ms[:STEPS_SHOWN_MAX])
            if view.serving is Serving.UP and protocol not in self._up:
                self._up.add(protocol)
                evidence = f"{took_ms} ms" + (f": {steps}" if steps else "")
                count = f"{len(view.served)} share{'' if len(view.served) == 1 else 's'}"
                self._note(EventMark.SHARES_UP, protocol.value, f"{NAMES[protocol]}, {count}", evidence)
            elif view.serving is Serving.DOWN and protocol in self._up:
                self._up.discard(protocol)
                self._note(EventMark.SHARES_DOWN, protocol.value, NAMES[protocol], steps)

    # The core --------------------------------------------------------------------------------------------------------

    @property
    def faulty(self) -> bool:
        """Whether a server does not serve, or leaves out a share."""
        if not self.shares:
            return False
        for protocol in protocols_of(self.shares):
            view = self.views.get(protocol)
            # What another program changed is told, and not undone by itself.
            if view is None or view.serving is not Serving.UP or any(_fault(one) for one in view.problems):
                return True
        return False

    @property
    def served(self) -> bool:
        """Whether every server answers clients."""
        if isinstance(self._change, StopShares):
            return False
        if not self.shares:
            return True
        if not self._looked and not self.views and self.running:
            return self._served_before
        return all(_is(self.views.get(protocol), Serving.UP) for protocol in protocols_of(self.shares))

    def _report(self, *, act: bool = True) -> None:
        """Tell the core what has changed. It joins the servers: a release waits until each has stopped."""
        seen = all_servers(SharesSeen(self.served, one not in self.running) for one in share_values.Protocol)
        if seen != self._reported:
            self._reported = seen
            self._daemon.handle(seen, act=act)


def _is(view: ServerView | None, serving: Serving) -> bool:
    return view is not None and view.serving is serving


def _fault(one: ShareProblem) -> bool:
    return not (one.served or one.changed)


def _sum_ms(view: ServerView) -> int:
    return sum(ms for _, ms in view.steps_ms)
