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

from reconciler.core.failover.machine.events import SharesSeen
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.refusal import Refused
from reconciler.core.shares import shares as share_values
from reconciler.core.shares.ports import ServerView, Serving, ShareProblem
from reconciler.core.shares.shares import Shares
from reconciler.core.status.timeline import EventMark
from reconciler.errors import HagitError
from reconciler.system.shares.kept_shares import keep_shares, kept_shares, note_serving, noted_serving
from reconciler.system.shares.servers import NAMES, protocols_of
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.event_loop import monotonic_ms
from reconciler.watchdog.worker_pool import WorkerAnswer
from reconciler.watchdog.worker_protocol import FailedReply, LookAtShares, ServeShares, SharesReply, StopShares

#: A start may take this long. The core lets the addresses wait for a shorter time (`SERVE_MS`).
START_MS: Final = 30_000
LOOK_WITHIN_MS: Final = 3_000
#: Intervals of looks: while a server starts, while this controller serves, and on a standby.
STARTING_MS: Final = 250
ACTIVE_MS: Final = 1_000
STANDBY_MS: Final = 10_000
#: Delay before a start is tried again: doubled from the first to the last of these.
RETRY_MS: Final = 1_000
RETRY_MS_MAX: Final = 60_000
#: Delay before a stop is tried again.
STOP_RETRY_MS: Final = 200
#: A worker that has just been killed is missing for a moment.
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

    def request_shares(self, request: ServeShares | StopShares | LookAtShares, within_ms: int) -> bool:
        """Make a request. False if its worker is busy or missing."""
        ...

    def abandon_start(self) -> None:
        """Kill the worker that starts servers, so that the next one stops them."""


class ShareService:
    """The servers of shares of one daemon. `run`: the run directory. `chap`: names and files of CHAP secrets.

    The attributes are for `share_status`: `shares` that are followed (None: none), `refusal` of the newest document,
    `views` of the last look or change, `running`: servers that may run.
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
        self._document: Shares | Refused | None = None
        self.shares: Shares | None = None
        self.refusal = ""
        self._digest = ""
        self._pair = ""
        self.goal = ShareGoal.KEEP
        self.running: frozenset[share_values.Protocol] = frozenset()
        self.views: dict[share_values.Protocol, ServerView] = {}
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
        self._change: ServeShares | StopShares | None = None
        self._asked_ms = self._changed_ms = 0
        self._failures = self._retry_ms = self._stop_retry_ms = self._look_ms = 0
        self._acting = False

    # Document and core -----------------------------------------------------------------------------------------------

    def set_document(self, document: Shares | Refused | None) -> None:
        """Follow the document that the agent published. None: there is no file."""
        self._document = document
        if self._reported is not None:
            self._judge()
            self._act()

    def begin(self, *, served: bool = False) -> None:
        """The core exists now. Servers of an earlier daemon may run. `served`: what its predecessor knew of them."""
        self.running = noted_serving(self._run, self._daemon.durable.boot)
        self._up, self._served_before = set(self.running), served
        core = self._daemon.core
        assert core is not None
        self._reported = SharesSeen(core.looks.served, core.looks.stopped)
        self._judge()
        # The daemon performs the outputs after its own first event.
        self._report(act=False)

    def set_wanted(self, *, wanted: bool, kept: bool) -> None:
        """Serve (`wanted`), leave the servers as they are (`kept`), or stop them (neither)."""
        self.goal = ShareGoal.SERVE if wanted else ShareGoal.KEEP if kept else ShareGoal.STOP
        self._act()

    def check(self) -> None:
        """Do what is due. Called with every heartbeat, and when a worker has changed."""
        self._act()

    def activity(self) -> str:
        """The change that a hand-over to another daemon must not interrupt; "" without one."""
        return "" if self._change is None else "servers of shares start or stop"

    def _judge(self) -> None:
        """Decide which shares are followed."""
        core, boot = self._daemon.core, self._daemon.durable.boot
        assert core is not None
        pair, document, self.refusal = core.orders.pair, self._document, ""
        self._pair, followed = pair, self.shares
        if isinstance(document, Shares) and document.pair == pair:
            followed = document
        else:
            if followed is None:
                followed = self._kept(pair)
            if isinstance(document, Refused):
                self.refusal = f"the shares are {document}"
            elif document is not None:
                self.refusal = f"they are those of the pair {document.pair}, and this is {pair}"
            elif followed:
                self.refusal = "the file of the shares is missing"
        if followed != self.shares:
            self.shares, self._failures, self._retry_ms = followed, 0, 0
            if followed is not None:
                try:
                    self._digest = keep_shares(self._run, boot, followed)
                except OSError as error:
                    self.refusal = f"the run directory does not take them: {error.strerror}"

    def _kept(self, pair: str) -> Shares | None:
        """The last good shares of this boot."""
        try:
            kept = kept_shares(self._run, self._daemon.durable.boot)
        except HagitError:
            return None
        return kept if kept is not None and kept.pair == pair else None

    # What is due -----------------------------------------------------------------------------------------------------

    def _act(self) -> None:
        core = self._daemon.core
        if core is None or self._reported is None or self._acting:
            return
        self._acting = True
        try:
            if core.orders.pair != self._pair:
                self._judge()
            self._workers.set_shares_wanted(wanted=bool(self.shares or self.running))
            now_ms = monotonic_ms()
            if self.goal is ShareGoal.SERVE and self.shares:
                self._serve_if_due(self.shares, now_ms)
            elif self.goal is not ShareGoal.KEEP:
                self._stop_if_due(now_ms)
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
                self._in_force = self._digest
        if self._in_force == self._digest and not self.faulty:
            return
        if self._note_running(self.running | wanted):
            # The core knows that servers may run before the first command.
            self._report()
            self._request(ServeShares(self._digest, tuple(sorted(self.running - wanted)), self._chap), START_MS, now_ms)

    def _stop_if_due(self, now_ms: int) -> None:
        if isinstance(self._change, ServeShares):
            self._workers.abandon_start()
            self._change, self._changed_ms = None, now_ms
        if self._change is None and self.running and now_ms >= self._stop_retry_ms:
            core = self._daemon.core
            assert core is not None
            self._request(StopShares(tuple(sorted(self.running))), core.orders.timers.release_ms, now_ms)

    def _request(self, request: ServeShares | StopShares, within_ms: int, now_ms: int) -> None:
        if self._workers.request_shares(request, within_ms):
            self._change, self._asked_ms = request, now_ms

    def _look_if_due(self, now_ms: int) -> None:
        core = self._daemon.core
        assert core is not None
        if not self.shares or isinstance(self._change, StopShares) or now_ms < self._look_ms:
            return
        if core.phase not in (Phase.BOOTING, Phase.STANDBY, Phase.ACTIVE):
            return
        protocols = tuple(sorted({*protocols_of(self.shares), *self.running}))
        if self._workers.request_shares(LookAtShares(self._digest, protocols, self._chap), LOOK_WITHIN_MS):
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

    # Answers ---------------------------------------------------------------------------------------------------------

    def _handle_answer(self, answered: WorkerAnswer) -> None:
        request, reply, now_ms = answered.request, answered.reply, answered.answered_ms
        views = dict(reply.views) if isinstance(reply, SharesReply) else {}
        if isinstance(request, LookAtShares):
            self._handle_look(request, views, answered.asked_ms, now_ms)
        else:
            self._change, self._changed_ms, self._look_ms = None, now_ms, 0
            self.failure = reply.why if isinstance(reply, FailedReply) else ""
            if isinstance(request, ServeShares):
                self._handle_start(request, views, now_ms)
            elif isinstance(request, StopShares):
                self._handle_stop(request, views, now_ms)
        self._act()

    def _handle_start(self, request: ServeShares, views: dict[share_values.Protocol, ServerView], now_ms: int) -> None:
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

    def _handle_stop(self, request: StopShares, views: dict[share_values.Protocol, ServerView], now_ms: int) -> None:
        took_ms = now_ms - self._asked_ms
        for protocol, view in views.items():
            self.stop_ms[protocol] = _sum_ms(view) or took_ms
        self._take(views, took_ms)
        down = {protocol for protocol in request.protocols if _is(views.get(protocol), Serving.DOWN)}
        self._note_running(self.running - down)
        self._in_force, self._retry_ms, self._failures = "", 0, 0
        self._stop_retry_ms = now_ms + STOP_RETRY_MS if self.running else 0

    def _handle_look(
        self, request: LookAtShares, views: dict[share_values.Protocol, ServerView], asked_ms: int, now_ms: int
    ) -> None:
        if asked_ms < self._changed_ms or request.digest != self._digest or isinstance(self._change, StopShares):
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

    def _take(self, views: dict[share_values.Protocol, ServerView], took_ms: int) -> None:
        """Keep the views. The timeline gets each server that serves now, or no longer."""
        self.views |= views
        for protocol, view in views.items():
            steps = ", ".join(f"{name} {ms} ms" for name, ms in view.steps_ms[:STEPS_SHOWN_MAX])
            if view.serving is Serving.UP and protocol not in self._up:
                self._up.add(protocol)
                evidence = f"{took_ms} ms" + (f": {steps}" if steps else "")
                self._note(
                    EventMark.SHARES_UP, protocol.value, f"{len(view.served)} shares of {NAMES[protocol]}", evidence
                )
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
            if view is None or view.serving is not Serving.UP or any(not one.served for one in view.problems):
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
        """Tell the core what has changed."""
        seen = SharesSeen(self.served, not self.running)
        if seen != self._reported:
            self._reported = seen
            self._daemon.handle(seen, act=act)


def _is(view: ServerView | None, serving: Serving) -> bool:
    return view is not None and view.serving is serving


def _sum_ms(view: ServerView) -> int:
    return sum(ms for _, ms in view.steps_ms)
