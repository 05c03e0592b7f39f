"""`hagit watchdog`: what a start does, in its order, and how the daemon ends.

Starts from the node file, the secret and the orders file alone: no agent, no git, no network needs to be there. A start
that fails before the loop ends with one message. In the loop, whatever is raised ends the daemon at once, with what it
knew, and without a word to the deadman: a controller whose daemon is wrong about itself is restarted, or reset.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from reconciler.core.failover.heartbeats.failure_detector import network_alive
from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.keyring import Keyring
from reconciler.core.failover.machine.agreed_limits import agreement
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.document import ORDERS_BYTES_MAX
from reconciler.core.failover.orders.hardware_unit import UNIT_BYTES_MAX, unfit
from reconciler.core.failover.reservations.key import Side
from reconciler.core.power.document import POWER_BYTES_MAX
from reconciler.core.status.watchdog import ReasonStatus
from reconciler.errors import HagitError, NodeFileError, StateError, UsageError
from reconciler.system.deadman import open_deadman
from reconciler.system.files import PUBLIC_DIRECTORY, Lock, make_directory, narrow
from reconciler.system.machine import machine_number, machine_serial
from reconciler.system.node import Node, WatchdogNode, find_node_file, load_node
from reconciler.system.process_protection import protect_daemon
from reconciler.system.secret import carp_passwords, pair_secret
from reconciler.system.shelf import imported
from reconciler.system.systemd_notifier import SystemdNotifier
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.daemon_process import DaemonParts, DaemonProcess, complaints_of, repeat
from reconciler.watchdog.dispatcher import Dispatcher
from reconciler.watchdog.durable_state import DurableState, inherits
from reconciler.watchdog.event_loop import EventLoop, monotonic_ms
from reconciler.watchdog.file_thread import FileThread, read_content
from reconciler.watchdog.heartbeats import Heartbeats
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.power_fencing import PowerFencing
from reconciler.watchdog.published_files import PublishedFiles, read_unit
from reconciler.watchdog.replace_command import replace_daemon
from reconciler.watchdog.secret_watcher import SecretWatcher, read_secret_files
from reconciler.watchdog.status_publisher import StatusPublisher
from reconciler.watchdog.successor import PredecessorLink
from reconciler.watchdog.successor_handle import OPTION, HandedOver
from reconciler.watchdog.systemd_service import adopt_running_daemon
from reconciler.watchdog.takeover_audits import TakeoverAudits
from reconciler.watchdog.timeline import Timeline
from reconciler.watchdog.version_negotiator import VersionNegotiator
from reconciler.watchdog.virtual_addresses import AddressService

USAGE: Final = """\
Usage: hagit watchdog [--replace]

  Keep this controller's part of the pair: heartbeats, claim, pools, virtual addresses. Runs until it is ended.
  Follows the orders that the agent wrote; needs neither agent nor network to start.

  --replace    have the daemon that runs replaced by a new one, started from what is installed now. The old one goes
               on until the new one is ready; when that fails, it stays, and this command says why.

  Example:  hagit --node /etc/hagit/node.toml watchdog
"""
#: What every user may read in the run directory.
PUBLIC_FILES: Final = ("watchdog.json",)
#: How long the end waits for slow files.
FAREWELL_S: Final = 2.0
STDOUT: Final = 1
#: Of a secret that stands in for one that cannot be read.
STOPGAP_BYTES: Final = 32
#: sysexits.h, EX_CONFIG: starting again changes nothing before a person has changed a file.
MISCONFIGURED: Final = 78


def main(arguments: Sequence[str]) -> int:
    """Run the daemon; the exit status."""
    try:
        words = list(arguments)
        if words in (["--help"], ["-h"]):
            print(USAGE, end="")
            return 0
        predecessor = None
        if words[-2:-1] == [OPTION] and words[-1].isdigit():
            predecessor = _parted(int(words[-1]))
            words = words[:-2]
        replaces = "--replace" in words
        if replaces:
            words.remove("--replace")
        match words:
            case []:
                named = None
            case ["--node", name]:
                named = Path(name)
            case [first, *_]:
                raise UsageError(f"the watchdog takes --node FILE, not {first!r}", remedy="see `hagit watchdog -h`")
        node = load_node(find_node_file(named))
        if node.watchdog is None:
            raise NodeFileError(
                "this controller has no watchdog: the table [watchdog] is missing",
                where=str(node.path),
                remedy="add it, with `secret` and `shelf`; see `hagit explain node`",
            )
        return replace_daemon(node.watchdog.run) if replaces else run(node, node.watchdog, predecessor)
    except (UsageError, NodeFileError) as error:
        print(f"hagit: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else MISCONFIGURED
    except HagitError as error:
        print(f"hagit: {error}", file=sys.stderr)
        return 1


def _parted(handle: int) -> PredecessorLink:
    """The predecessor, and a process that is not its child: systemd is to be told of the end of its main process."""
    if os.fork():
        os._exit(0)
    predecessor = PredecessorLink(handle)
    predecessor.send_hello()
    return predecessor


def run(node: Node, watchdog: WatchdogNode, predecessor: PredecessorLink | None = None) -> int:
    """Assemble the daemon and run it until a signal ends it, or another daemon has taken over from it."""
    systemd = SystemdNotifier()
    make_directory(watchdog.run, PUBLIC_DIRECTORY)
    narrow(watchdog.run, PUBLIC_FILES)
    with ExitStack() as stack:
        lock = Lock(watchdog.run / "watchdog.lock", "hagit watchdog")
        stack.callback(lock.close)
        if predecessor is None and not _locked(lock, watchdog.run, systemd):
            return 0
        keys = start_keys(watchdog, starts=predecessor is None)
        passwords = start_passwords(watchdog, keys, starts=predecessor is None)
        clerk = FileThread(node.state / "orders.json", ORDERS_BYTES_MAX)
        stack.callback(clerk.close, FAREWELL_S)
        plans = FileThread(node.state / "power.json", POWER_BYTES_MAX)
        stack.callback(plans.close, FAREWELL_S)
        parts = _assemble(node, watchdog, (keys, passwords), (clerk, lock), systemd, begins=predecessor is None)
        stack.callback(_let_go, parts)
        files = PublishedFiles(Side(node.controller), parts.daemon, parts.power, keys, clerk, plans)
        files.imported_pools = partial(imported, watchdog.shelf)
        files.on_orders_in_force = parts.beats.negotiator.orders_in_force
        secrets = SecretWatcher(watchdog)
        stack.callback(secrets.close, FAREWELL_S)
        role = DaemonProcess(parts, watchdog.run, watchdog.group, Side(node.controller), files, predecessor)
        stack.callback(role.close)
        loop = parts.loop
        loop.watch(clerk.fileno(), files.orders_changed)
        loop.watch(plans.fileno(), files.power_plan_changed)

        def secrets_seen() -> None:
            sight = secrets.take_files()
            if sight is not None:
                keys.files_changed(sight)

        def rekeyed() -> None:
            if watchdog.carp_password is None:
                parts.addresses.set_passwords(carp_passwords(watchdog, keys.ring))
            files.reread()
            _say(f"hagit: heartbeats are sealed with secret {keys.status().current} from now on")

        keys.listeners.append(rekeyed)
        _follow_unit(node, keys, parts, stack)
        loop.watch(secrets.fileno(), secrets_seen)
        repeat(loop, 1_000, keys.follow_if_safe)

        def signalled(number: int) -> None:
            if number == signal.SIGHUP:
                clerk.check_now()
                secrets.check_now()
            elif number == signal.SIGTERM and role.is_daemon:
                role.service.terminate_requested()
            else:
                loop.stop()

        with loop.signals(signalled):
            if predecessor is None:
                role.start()
                systemd.ready()
            if _turn(parts) and role.is_daemon:
                systemd.stopping()
                _farewell(parts)
    return 0


def start_keys(watchdog: WatchdogNode, *, starts: bool) -> PairKeys:
    """The secrets to start with. Raises NodeFileError for unfit ones, but not over pools that a predecessor imported.

    There a daemon that ends would have the machine reset. One that seals with a random secret is not understood, but
    its record changes, so the peer knows that it lives. A successor of a daemon that runs (not `starts`) fails instead.
    """
    found = read_secret_files(watchdog)
    if found.ring is not None:
        return PairKeys(found.ring, found.problems)
    if not (starts and inherits(watchdog.run)):
        pair_secret(watchdog)
    if not starts:
        raise StateError("the pair's secret could not be read, and is there now: try again")
    return PairKeys(Keyring(os.urandom(STOPGAP_BYTES)), found.problems, stopgap=True)


def start_passwords(watchdog: WatchdogNode, keys: PairKeys, *, starts: bool) -> tuple[bytes, ...]:
    """The passwords of CARP to start with, by the rule of `start_keys`: they tell people and decide nothing."""
    try:
        return carp_passwords(watchdog, keys.ring)
    except NodeFileError as error:
        if not (starts and inherits(watchdog.run)):
            raise
        keys.problems = (*keys.problems, f"{error.where}: {error.what}")
        return carp_passwords(replace(watchdog, carp_password=None), keys.ring)


def _follow_unit(node: Node, keys: PairKeys, parts: DaemonParts, stack: ExitStack) -> None:
    """Compare the serial number of this machine with the Pair's, before any orders are read, and at every change.

    In between, a machine that is not the unit could claim.
    """
    path, serial, side = node.state / "unit.json", machine_serial(node.serial_file), Side(node.controller)
    units = FileThread(path, UNIT_BYTES_MAX)
    stack.callback(units.close, FAREWELL_S)
    last = read_content(path, UNIT_BYTES_MAX)

    def judge() -> None:
        parts.daemon.unit_seen(unfit(read_unit(last, keys.documents), side, serial))

    def seen() -> None:
        nonlocal last
        last = units.take_content() or last
        judge()

    judge()
    keys.listeners.append(judge)
    parts.loop.watch(units.fileno(), seen)


def _locked(lock: Lock, run: Path, systemd: SystemdNotifier) -> bool:
    """Whether this is the one daemon here. False: one that runs already is the unit's main process now."""
    try:
        lock.__enter__()
    except StateError:
        if adopt_running_daemon(run, systemd):
            _say("hagit: the daemon that runs goes on as the main process of its unit")
            return False
        # Another one may have ended meanwhile; if not, this says who has the lock.
        lock.__enter__()
    return True


def _turn(parts: DaemonParts) -> bool:
    """The loop; False when another daemon goes on. What ends it by force is told with the state it happened in."""
    try:
        parts.loop.run()
    except HandedOver:
        return False
    except BaseException:
        print(f"hagit: the watchdog ends in this state: {parts.daemon.core!r}", file=sys.stderr, flush=True)
        raise
    return True


def _assemble(
    node: Node,
    watchdog: WatchdogNode,
    secrets: tuple[PairKeys, tuple[bytes, ...]],
    files: tuple[FileThread, Lock],
    systemd: SystemdNotifier,
    *,
    begins: bool,
) -> DaemonParts:
    (keys, passwords), (clerk, lock) = secrets, files
    loop = EventLoop()
    durable = DurableState(node.state, watchdog.run, clerk, begins=begins)
    deadman = open_deadman(watchdog.deadman)
    if begins and deadman.fired(durable.died_with_machine):
        durable.note_deadman_reset("the deadman was not fed")
    timeline = Timeline(node.state / "watchdog", durable.boot, clerk)
    missing, problems = protect_daemon()
    for what in problems:
        _say(f"hagit: {what}")
    complaints = complaints_of(missing)
    publisher = StatusPublisher(loop, watchdog.run, node.controller, systemd, complaints)

    def changed(before: State | None, after: State) -> None:
        timeline.phase_changed(before, after)
        _say(f"hagit: {before.phase.name if before else 'start'} -> {after.phase.name}: {after.why}")
        publisher.phase_changed(after)
        power.phase_changed(after)
        audits.phase_changed(after)

    machine = machine_number(durable.boot, machine_serial(node.serial_file))
    daemon = Daemon(loop, durable, deadman, changed, machine)

    def heard(channel: int, beat: Beat) -> None:
        daemon.heartbeat_received(channel, beat)
        if daemon.core is not None and daemon.core.peer.beat is not None:
            timeline.peer_phase_seen(daemon.core.peer.beat.phase)

    negotiator = VersionNegotiator(durable)
    beats = Heartbeats(loop, keys, negotiator, heard, machine)
    work = Dispatcher(loop, daemon, keys, watchdog.shelf, watchdog.run, negotiator)
    keys.peer_heard = lambda: daemon.core is not None and network_alive(daemon.core, monotonic_ms())
    power = PowerFencing(daemon, work, node, timeline.add)
    audits = TakeoverAudits(daemon, work)

    def ticked() -> None:
        if daemon.core is not None:
            durable.note_agreement(agreement(daemon.core))
        power.consider()
        audits.start_if_due()

    daemon.on_tick = ticked
    addresses = AddressService(loop, daemon, beats, timeline, watchdog.run, passwords)
    publisher.address_rows, publisher.carp_rows = addresses.address_rows, addresses.carp_rows
    publisher.extra_reasons = lambda: (
        *addresses.reasons(), *work.reasons(), *power.reasons(), *audits.reasons(), *keys.reasons(),
        *_damage(durable),
        *negotiator.reasons(),
    )  # fmt: skip
    publisher.power_status, publisher.secret_status = power.status, keys.status
    daemon.attach(beats, work, addresses)
    publisher.attach(daemon, beats, timeline)
    return DaemonParts(loop, clerk, daemon, beats, work, addresses, publisher, timeline, power, keys, systemd, lock)


def _damage(durable: DurableState) -> tuple[ReasonStatus, ...]:
    return tuple(
        ReasonStatus(code="LEDGER_DAMAGED", text="a file of the watchdog was damaged and is made anew", evidence=what)
        for what in durable.problems
    )


def _say(line: str) -> None:
    """One line for the journal, if it takes it now."""
    os.set_blocking(STDOUT, False)
    with contextlib.suppress(OSError):
        os.write(STDOUT, line.encode() + b"\n")


def _farewell(parts: DaemonParts) -> None:
    """An orderly end. Where nothing is imported nothing needs a deadman; elsewhere it goes on counting for the next."""
    daemon = parts.daemon
    idle = daemon.core is None or daemon.core.phase in (Phase.STANDBY, Phase.BOOTING)
    if idle and daemon.durable.memory is None:
        deadman = daemon.deadman
        deadman.disarm()
        # A reset that follows all the same is what a person asked for: it is not counted.
        daemon.durable.note_deadman(False)
        if deadman.armed:
            timeout_ms = daemon.core.orders.timers.deadman_ms if daemon.core is not None else 0
            why = deadman.lasting or f"{deadman.name} cannot be stopped"
            parts.publisher.deadman_stays_armed(
                f"{why}: it resets this controller after {timeout_ms} ms unless a daemon starts"
            )
            _say(f"hagit: {why}: this controller resets in {timeout_ms} ms unless a daemon starts before")
    parts.publisher.write()


def _let_go(parts: DaemonParts) -> None:
    parts.daemon.deadman.close()
    parts.beats.close()
    parts.work.close()
    parts.addresses.close()
    parts.loop.close()
