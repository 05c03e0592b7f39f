"""`hagit watchdog`: the steps of a start, and how the daemon ends.

The daemon starts from the node file, the secret and the orders file alone: it needs no agent, git or network. A start
that fails before the event loop ends with one message. An exception in the loop ends the daemon immediately: it prints
its state and leaves the deadman armed. So a controller with a defective daemon is restarted or reset.
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
from reconciler.core.failover.reservations.key import Side
from reconciler.core.power.document import POWER_BYTES_MAX
from reconciler.core.status.watchdog import ReasonStatus
from reconciler.errors import HagitError, NodeFileError, StateError, UsageError
from reconciler.system.deadman import open_deadman
from reconciler.system.file_thread import FileThread
from reconciler.system.files import PUBLIC_DIRECTORY, Lock, make_directory, narrow
from reconciler.system.machine import machine_number, machine_serial
from reconciler.system.node import Node, WatchdogNode, find_node_file, load_node
from reconciler.system.process_protection import protect_daemon
from reconciler.system.secret import carp_passwords, pair_secret
from reconciler.system.secret_watcher import SecretWatcher, read_secret_files
from reconciler.system.shelf import imported
from reconciler.system.systemd_notifier import SystemdNotifier
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.daemon_process import DaemonParts, DaemonProcess, protection_reasons, repeat
from reconciler.watchdog.dispatcher import Dispatcher
from reconciler.watchdog.durable_state import DurableState, owned_pools
from reconciler.watchdog.event_loop import EventLoop, monotonic_ms
from reconciler.watchdog.followed_files import FAREWELL_S, follow_shares, follow_unit
from reconciler.watchdog.heartbeats import Heartbeats
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.power_fencing import PowerFencing
from reconciler.watchdog.published_files import PublishedFiles
from reconciler.watchdog.replace_command import replace_daemon
from reconciler.watchdog.share_service import ShareService
from reconciler.watchdog.share_status import server_rows, share_reasons
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

  --replace    replace the running daemon by a new one, started from the installed files. The old daemon continues
               until the new one is ready. If that fails, the old daemon stays and this command says why.

  Example:  hagit --node /etc/hagit/node.toml watchdog
"""
#: Files in the run directory that every user may read.
PUBLIC_FILES: Final = ("watchdog.json",)
STDOUT: Final = 1
#: Length of the random secret that replaces an unreadable one.
STOPGAP_BYTES: Final = 32
#: sysexits.h, EX_CONFIG: another start fails, too, until an operator has changed a file.
MISCONFIGURED: Final = 78


def main(arguments: Sequence[str]) -> int:
    """Run the daemon. Returns the exit status."""
    try:
        words = list(arguments)
        if words in (["--help"], ["-h"]):
            print(USAGE, end="")
            return 0
        predecessor = None
        if words[-2:-1] == [OPTION] and words[-1].isdigit():
            predecessor = _separate_process(int(words[-1]))
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


def _separate_process(handle: int) -> PredecessorLink:
    """Continue in a process that is no child of the predecessor, so that systemd learns of the predecessor's end."""
    if os.fork():
        os._exit(0)
    predecessor = PredecessorLink(handle)
    predecessor.send_hello()
    return predecessor


def run(node: Node, watchdog: WatchdogNode, predecessor: PredecessorLink | None = None) -> int:
    """Assemble the daemon and run it until a signal ends it or a successor has taken over."""
    systemd = SystemdNotifier()
    make_directory(watchdog.run, PUBLIC_DIRECTORY)
    narrow(watchdog.run, PUBLIC_FILES)
    with ExitStack() as stack:
        lock = Lock(watchdog.run / "watchdog.lock", "hagit watchdog")
        stack.callback(lock.close)
        if predecessor is None and not _take_lock(lock, watchdog.run, systemd):
            return 0
        keys = start_keys(watchdog, starts=predecessor is None)
        passwords = start_passwords(watchdog, keys, starts=predecessor is None)
        file_thread = FileThread(node.state / "orders.json", ORDERS_BYTES_MAX)
        stack.callback(file_thread.close, FAREWELL_S)
        plans = FileThread(node.state / "power.json", POWER_BYTES_MAX)
        stack.callback(plans.close, FAREWELL_S)
        parts = _assemble(node, watchdog, (keys, passwords), (file_thread, lock), systemd, begins=predecessor is None)
        stack.callback(_close, parts)
        files = PublishedFiles(Side(node.controller), parts.daemon, parts.power, keys, file_thread, plans)
        files.imported_pools = partial(imported, watchdog.shelf)
        files.on_orders_in_force = parts.heartbeats.negotiator.orders_in_force
        secrets = SecretWatcher(watchdog)
        stack.callback(secrets.close, FAREWELL_S)
        role = DaemonProcess(parts, watchdog.run, watchdog.group, Side(node.controller), files, predecessor)
        stack.callback(role.close)
        loop = parts.loop
        loop.watch(file_thread.fileno(), files.orders_changed)
        loop.watch(plans.fileno(), files.power_plan_changed)

        def secrets_changed() -> None:
            file = secrets.take_files()
            if file is not None:
                keys.files_changed(file)

        def keys_changed() -> None:
            if watchdog.carp_password is None:
                parts.addresses.set_passwords(carp_passwords(watchdog, keys.ring))
            files.reread()
            _print_line(f"hagit: heartbeats are sealed with secret {keys.status().current} from now on")

        keys.listeners.append(keys_changed)
        side, serial = Side(node.controller), machine_serial(node.serial_file)
        follow_unit(node.state, side, serial, keys, parts.loop, parts.daemon, stack)
        follow_shares(node.state, keys, parts.loop, parts.shares, stack)
        loop.watch(secrets.fileno(), secrets_changed)
        repeat(loop, 1_000, keys.follow_if_safe)

        def signalled(number: int) -> None:
            if number == signal.SIGHUP:
                file_thread.check_now()
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
                _end_in_order(parts)
    return 0


def start_keys(watchdog: WatchdogNode, *, starts: bool) -> PairKeys:
    """The secrets at the start. Raises NodeFileError for unusable ones, but not over pools of an earlier daemon.

    There the end of the daemon would reset the machine. A daemon that seals with a random secret is not understood, but
    its record changes, so the peer sees a sign of life. A successor of a running daemon (not `starts`) fails instead.
    """
    found = read_secret_files(watchdog)
    if found.ring is not None:
        return PairKeys(found.ring, found.problems)
    if not (starts and owned_pools(watchdog.run)):
        pair_secret(watchdog)
    if not starts:
        raise StateError("the pair's secret could not be read, and is there now: try again")
    return PairKeys(Keyring(os.urandom(STOPGAP_BYTES)), found.problems, stopgap=True)


def start_passwords(watchdog: WatchdogNode, keys: PairKeys, *, starts: bool) -> tuple[bytes, ...]:
    """The CARP passwords at the start, by the rule of `start_keys`: they decide nothing about failover."""
    try:
        return carp_passwords(watchdog, keys.ring)
    except NodeFileError as error:
        if not (starts and owned_pools(watchdog.run)):
            raise
        keys.problems = (*keys.problems, f"{error.where}: {error.what}")
        return carp_passwords(replace(watchdog, carp_password=None), keys.ring)


def _take_lock(lock: Lock, run: Path, systemd: SystemdNotifier) -> bool:
    """Take the lock. Returns False if a running daemon has it and was made the main process of the unit."""
    try:
        lock.__enter__()
    except StateError:
        if adopt_running_daemon(run, systemd):
            _print_line("hagit: the running daemon continues as the main process of its unit")
            return False
        # The other daemon may have ended meanwhile. If not, this raises with the holder of the lock.
        lock.__enter__()
    return True


def _turn(parts: DaemonParts) -> bool:
    """Run the event loop. Returns False after a hand-over. Prints the state if an exception ends the loop."""
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
    (keys, passwords), (file_thread, lock) = secrets, files
    loop = EventLoop()
    durable = DurableState(node.state, watchdog.run, file_thread, begins=begins)
    deadman = open_deadman(watchdog.deadman)
    if begins and deadman.fired(durable.died_with_machine):
        durable.note_deadman_reset("the deadman was not fed")
    timeline = Timeline(node.state / "watchdog", durable.boot, file_thread)
    missing, problems = protect_daemon()
    for what in problems:
        _print_line(f"hagit: {what}")
    reasons = protection_reasons(missing)
    publisher = StatusPublisher(loop, watchdog.run, node.controller, systemd, reasons)

    def changed(before: State | None, after: State) -> None:
        timeline.phase_changed(before, after)
        _print_line(f"hagit: {before.phase.name if before else 'start'} -> {after.phase.name}: {after.why}")
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
    heartbeats = Heartbeats(loop, keys, negotiator, heard, machine)
    dispatcher = Dispatcher(loop, daemon, keys, watchdog.shelf, watchdog.run, negotiator)
    keys.peer_heard = lambda: daemon.core is not None and network_alive(daemon.core, monotonic_ms())
    power = PowerFencing(daemon, dispatcher, node, timeline.add)
    audits = TakeoverAudits(daemon, dispatcher)
    chap = tuple((name, str(path)) for name, path in watchdog.chap)
    shares = ShareService(daemon, dispatcher, watchdog.run, chap, timeline.add)

    def ticked() -> None:
        if daemon.core is not None:
            durable.note_agreement(agreement(daemon.core))
        power.start_if_due()
        audits.start_if_due()
        shares.check()

    daemon.on_tick = ticked
    addresses = AddressService(loop, daemon, heartbeats, timeline, watchdog.run, passwords)
    daemon.attach(heartbeats, dispatcher, addresses, shares)
    publisher.attach(daemon, heartbeats, timeline)
    parts = DaemonParts(
        loop, file_thread, daemon, heartbeats, dispatcher, addresses, shares, publisher, timeline, power, keys,
        systemd, lock,
    )  # fmt: skip
    _publish(parts, audits, negotiator)
    return parts


def _publish(parts: DaemonParts, audits: TakeoverAudits, negotiator: VersionNegotiator) -> None:
    """Connect the parts with the status: their rows and their reasons."""
    publisher, addresses, power, keys, shares = parts.publisher, parts.addresses, parts.power, parts.keys, parts.shares
    publisher.address_rows, publisher.carp_rows = addresses.address_rows, addresses.carp_rows
    publisher.share_rows, publisher.power_status, publisher.secret_status = (
        partial(server_rows, shares), power.status, keys.status,
    )  # fmt: skip
    publisher.extra_reasons = lambda: (
        *addresses.reasons(), *parts.dispatcher.reasons(), *power.reasons(), *audits.reasons(), *keys.reasons(),
        *_damage_reasons(parts.daemon.durable), *share_reasons(shares),
        *negotiator.reasons(),
    )  # fmt: skip


def _damage_reasons(durable: DurableState) -> tuple[ReasonStatus, ...]:
    return tuple(
        ReasonStatus(
            code="LEDGER_DAMAGED", text="a file of the watchdog is damaged and will be written again", evidence=what
        )
        for what in durable.problems
    )


def _print_line(line: str) -> None:
    """Print a line for the journal, unless that would block."""
    os.set_blocking(STDOUT, False)
    with contextlib.suppress(OSError):
        os.write(STDOUT, line.encode() + b"\n")


def _end_in_order(parts: DaemonParts) -> None:
    """End in good order. Disarm the deadman if no pool is imported here; otherwise it counts on for the next daemon."""
    daemon = parts.daemon
    idle = daemon.core is None or daemon.core.phase in (Phase.STANDBY, Phase.BOOTING)
    if idle and daemon.durable.memory is None:
        deadman = daemon.deadman
        deadman.disarm()
        # A reset that follows nevertheless was asked for by an operator. It is not counted.
        daemon.durable.note_deadman(False)
        if deadman.armed:
            timeout_ms = daemon.core.orders.timers.deadman_ms if daemon.core is not None else 0
            why = deadman.lasting or f"{deadman.name} cannot be stopped"
            parts.publisher.deadman_stays_armed(
                f"{why}: it resets this controller after {timeout_ms} ms unless a daemon starts"
            )
            _print_line(f"hagit: {why}: this controller resets in {timeout_ms} ms unless a daemon starts before")
    parts.publisher.write()


def _close(parts: DaemonParts) -> None:
    parts.daemon.deadman.close()
    parts.heartbeats.close()
    parts.dispatcher.close()
    parts.addresses.close()
    parts.loop.close()
