"""The state that outlives the daemon: its memory, its incarnation, and when this controller moved or was reset.

- `run/memory` names the phase. The event loop writes it before the effects of a phase. It must vanish with a reset, so
  it lies in /run and names its boot.
- `run/orders` holds the orders in force, and is written before their disks are asked. A daemon that starts over
imported
  pools and cannot read the published orders continues with these, and every daemon starts from their disks.
- All other files lie in the state directory, which may be slow. They are read at the start and written by a thread.

Moments that outlive a boot are totals of `elapsed_time`; the wall clock stands beside them for people. So no setting of
the wall clock blocks a controller, or lets it forget a reset. Does not decide what is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.machine.agreed_limits import Agreement, with_agreement
from reconciler.core.failover.machine.decision_codes import Decision
from reconciler.core.failover.machine.elapsed_time import Clocks, recent_count, wall_age_s
from reconciler.core.failover.machine.pending_orders import resumed
from reconciler.core.failover.machine.phase import GUARANTEES, Phase
from reconciler.core.failover.machine.state import Memory, State, initial
from reconciler.core.failover.orders.orders import Layout, Limits, Orders, layout
from reconciler.core.failover.orders.safety_checks import TIMER_MS_MAX
from reconciler.core.failover.reservations.key import EPOCH_MAX
from reconciler.core.failover.strict_json import Defect, build, plain
from reconciler.errors import HagitError
from reconciler.system.atomic_file import replace_file
from reconciler.system.file_thread import FileThread
from reconciler.system.files import PUBLIC_DIRECTORY, json_line, make_directory, read_json, state_error
from reconciler.system.machine import boot_id
from reconciler.system.shelf.orders_in_force import orders_in_force_document, orders_in_force_path, read_orders_in_force
from reconciler.watchdog.elapsed_time import NAME as KEPT_TIME
from reconciler.watchdog.elapsed_time import ElapsedTime, machine_clocks, seconds
from reconciler.watchdog.event_loop import monotonic_ms

#: More entries than any limit of the orders counts. Older entries are dropped.
MOMENTS_MAX: Final = 1_000


def owned_pools(run: Path) -> bool:
    """Whether an earlier daemon of this boot owned the pools when it ended.

    Then the next one must not fail to start.
    """
    try:
        document = read_json(run / "memory")
    except HagitError:
        return False
    owned = {phase.value for phase in Phase if GUARANTEES[phase].required}
    return isinstance(document, dict) and document.get("boot") == boot_id() and document.get("phase") in owned


@dataclass(frozen=True, slots=True)
class Incident:
    """A reset by this controller itself or by its deadman, or the start of an automatic move, which has no `why`.

    `at_s`: wall clock, for people. `total_s`: total of `elapsed_time`.
    """

    at_s: float
    why: str
    total_s: float


class DurableState:
    """The files of one controller. `problems` names unreadable files, which do not prevent a start.

    `begins` is False in a successor that waits for the hand-over: it writes nothing before `reload`.
    Raises StateError if a directory cannot be made or the incarnation cannot be written.
    """

    def __init__(
        self,
        state: Path,
        run: Path,
        file_thread: FileThread,
        *,
        begins: bool = True,
        clocks: Callable[[str], Clocks] = machine_clocks,
    ) -> None:
        self.problems: list[str] = []
        self._file_thread = file_thread
        self._directory = state / "watchdog"
        self._run, self._memory_path = run, run / "memory"
        make_directory(state, PUBLIC_DIRECTORY)
        make_directory(self._directory)
        make_directory(run, PUBLIC_DIRECTORY)
        self.boot = boot_id()
        self.elapsed = ElapsedTime(self._directory, self.boot, file_thread, clocks)
        self._writes = begins
        self._copied_layout: Layout | None = None
        self.incarnation = self._next_incarnation() if begins else 0
        self._read_all()
        self._read_boot_life(write=begins)
        if begins:
            self.elapsed.save()

    def reload(self, incarnation: int | None) -> None:
        """Read the files again after a hand-over. None: start as a new daemon, with an incarnation of its own."""
        self.problems.clear()
        self._writes = True
        self.incarnation = self._next_incarnation() if incarnation is None else incarnation
        self._read_all()
        self._read_boot_life(write=False)
        self.elapsed.save()

    def _read_all(self) -> None:
        moves, resets = self._list("moves.json"), self._list("resets.json")
        # The first release wrote a move as a number.
        moves = [entry if isinstance(entry, dict) else {"at": entry} for entry in moves]
        maintenance = self._read("maintenance.json")
        self.elapsed.read(
            self._read(KEPT_TIME), max((_total_s(entry) or 0.0 for entry in (*moves, *resets)), default=0.0)
        )
        self.moves = [move for entry in moves if (move := self._incident(entry)) is not None]
        self.resets = [reset for entry in resets if (reset := self._incident(entry)) is not None]
        self._read_maintenance(maintenance)
        self.memory = self._read_memory()
        self.layout = self._kept_layout()
        accepted = self._read("accepted.json")
        known = accepted if isinstance(accepted, dict) else {}
        self.generation_max = known["generation"] if isinstance(known.get("generation"), int) else 0
        self.pair = known["pair"] if isinstance(known.get("pair"), str) else ""
        self.agreement = _agreement(self._read("agreement.json"))
        peer = self._read("peer.json")
        reads = peer.get("reads") if isinstance(peer, dict) else None
        self.peer_reads = reads if type(reads) is int and reads >= 1 else 1

    def _next_incarnation(self) -> int:
        """The incarnation of this start: higher than every earlier one, even if its file was lost.

        The wall clock is only a lower bound: a clock that was set back does not lower a number that the file holds.
        """
        document = self._read("incarnation")
        kept = document.get("incarnation") if isinstance(document, dict) else None
        number = max((kept if isinstance(kept, int) else 0) + 1, int(self.elapsed.clocks.wall_s))
        self._write_now("incarnation", {"incarnation": number})
        return number

    def _read_boot_life(self, *, write: bool) -> None:
        """Read whether the earlier daemon ended with the machine: it fed the deadman in an earlier boot."""
        life = self._read("life.json")
        earlier = life if isinstance(life, dict) else {}
        same = earlier.get("boot") == self.boot
        self.died_with_machine = bool(earlier.get("fed")) and not same
        self.deadman_fed = bool(earlier.get("fed")) and same
        if write:
            self._write_now("life.json", {"boot": self.boot, "fed": self.deadman_fed})

    def note_deadman(self, fed: bool) -> None:
        """Note that the deadman is armed, or was disarmed in good order."""
        if fed is not self.deadman_fed:
            self.deadman_fed = fed
            self._file_thread.write(self._directory / "life.json", json_line({"boot": self.boot, "fed": fed}))

    # Memory ----------------------------------------------------------------------------------------------------------

    def set_memory(self, memory: Memory | None) -> None:
        """Write the memory, or remove it (None). Returns when the file system has it."""
        if memory is None:
            self._memory_path.unlink(missing_ok=True)
        else:
            write_memory(self._memory_path.parent, self.boot, memory)
        self.memory = memory

    def _read_memory(self) -> Memory | None:
        document = self._read_file(self._memory_path)
        if not isinstance(document, dict) or document.get("boot") != self.boot:
            return None
        phase, epoch, quiet = (document.get(key) for key in ("phase", "epoch", "quiet"))
        if phase not in set(Phase) or type(epoch) is not int or not 0 < epoch <= EPOCH_MAX or type(quiet) is not bool:
            self.problems.append(f"{self._memory_path} is damaged")
            return None
        return Memory(Phase(phase), epoch, quiet)

    def keep_orders(self, orders: Orders) -> None:
        """Keep the orders in force for later daemons of this boot, and their disks for later boots.

        The copy of the disks in the state directory may be written a moment later.
        """
        replace_file(orders_in_force_path(self._run), orders_in_force_document(orders, self.boot), sync=False)
        self.layout = layout(orders)
        if self.layout != self._copied_layout:
            self._file_thread.write(self._directory / "shelf.json", json_line(plain(self.layout)))
            self._copied_layout = self.layout

    def kept_orders(self) -> Orders | None:
        """The last orders in force in this boot. None if there were none, or if the file is damaged."""
        return read_orders_in_force(self._run, self.boot)

    def _kept_layout(self) -> Layout | None:
        """The disks that were in force last, in this boot or else in an earlier one."""
        kept = self.kept_orders()
        if kept is not None:
            return layout(kept)
        document = self._read("shelf.json")
        if document is None:
            return None
        try:
            return build(Layout, document, "shelf")
        except Defect as defect:
            self.problems.append(f"{self._directory / 'shelf.json'} is damaged: {defect}")
            return None

    def first_state(self, orders: Orders, machine: int, unit: Decision | None) -> State:
        """The core's state at the start of a daemon: its orders, and what the files say of earlier daemons.

        A deadman that an earlier daemon of this boot armed is still counting.
        """
        recent = self.recent_counts(orders.limits)
        orders, pending = resumed(orders, self.layout)
        core = initial(orders, self.incarnation, monotonic_ms(), self.memory, *recent, machine, pending)
        return replace(with_agreement(core, self.agreement), unit=unit, armed=self.deadman_fed)

    # Moves and resets ------------------------------------------------------------------------------------------------

    def note_move(self) -> None:
        """Note that an automatic move starts."""
        self.moves = [*self.moves, Incident(self.elapsed.clocks.wall_s, "", self.elapsed.total_s)][-MOMENTS_MAX:]
        document = [{"at": move.at_s, "total": move.total_s} for move in self.moves]
        self._file_thread.write(self._directory / "moves.json", json_line(document))

    def note_own_reset(self, why: str, wait_s: float) -> None:
        """Note that this controller resets itself. Waits at most `wait_s` until the disk has it."""
        self._note_reset(why)
        self.deadman_fed = False
        self._file_thread.write(self._directory / "life.json", json_line({"boot": self.boot, "fed": False}))
        self._file_thread.flush(wait_s)

    def note_deadman_reset(self, why: str) -> None:
        """Note that the deadman reset this controller."""
        self._note_reset(why)

    def _note_reset(self, why: str) -> None:
        self.resets = [*self.resets, Incident(self.elapsed.clocks.wall_s, why, self.elapsed.total_s)][-MOMENTS_MAX:]
        document = [{"at": reset.at_s, "why": reset.why, "total": reset.total_s} for reset in self.resets]
        self._file_thread.write(self._directory / "resets.json", json_line(document))

    def recent_counts(self, limits: Limits) -> tuple[int, int]:
        """The numbers of resets and of automatic moves within the windows of the orders."""
        total_s = self.elapsed.total_s
        resets = recent_count(tuple(reset.total_s for reset in self.resets), total_s, limits.resets_window_ms)
        moves = recent_count(tuple(move.total_s for move in self.moves), total_s, limits.moves_window_ms)
        return resets, moves

    def _incident(self, entry: Any) -> Incident | None:
        """An entry of a file. An entry of the first release has no total: its age follows from the wall clock."""
        at_s = seconds(entry.get("at")) if isinstance(entry, dict) else None
        if at_s is None:
            return None
        total_s = _total_s(entry)
        if total_s is None:
            total_s = self.elapsed.total_s - wall_age_s(at_s, self.elapsed.clocks)
        return Incident(at_s, str(entry.get("why", "")), total_s)

    def note_accepted(self, pair: str, generation: int) -> None:
        """Note the orders in force. Later daemons, too, refuse older ones and those of another pair."""
        if (pair, generation) != (self.pair, self.generation_max):
            self.pair, self.generation_max = pair, max(generation, self.generation_max)
            self._file_thread.write(
                self._directory / "accepted.json", json_line({"pair": pair, "generation": self.generation_max})
            )

    def note_agreement(self, agreed: Agreement) -> None:
        """Note the limits in force. A later daemon uses them until it has heard the peer."""
        if agreed != self.agreement and self._writes:
            self.agreement = agreed
            document = {"lives": agreed.lives_ms, "feeds": agreed.feeds_ms, "waits": agreed.waits_ms}
            self._file_thread.write(self._directory / "agreement.json", json_line(document))

    def note_peer_reads(self, version: int) -> None:
        """Note the highest heartbeat version that the peer reads. A later daemon starts with it."""
        self.peer_reads = version
        if self._writes:
            self._file_thread.write(self._directory / "peer.json", json_line({"reads": version}))

    def set_maintenance(self, lasts_s: float | None, override: bool = False) -> None:
        """Note that maintenance lasts this long from now, or is over (None). A later daemon continues it.

        `until` in the file is for people and for daemons of the first release.
        """
        self._maintained_s = None if lasts_s is None else self.elapsed.total_s + lasts_s
        self.override = override
        until_s = None if lasts_s is None else self.elapsed.clocks.wall_s + lasts_s
        document = {"until": until_s, "override": override, "total": self._maintained_s}
        self._file_thread.write(self._directory / "maintenance.json", json_line(document))

    def maintenance_left_s(self) -> float:
        """Remaining maintenance, 0 without any. Time that is not certain to have passed is not subtracted."""
        return 0.0 if self._maintained_s is None else max(0.0, self._maintained_s - self.elapsed.total_s)

    def _read_maintenance(self, document: Any) -> None:
        known = document if isinstance(document, dict) else {}
        self.override = known.get("override") is True
        self._maintained_s = seconds(known.get("total"))
        until_s = seconds(known.get("until"))
        if self._maintained_s is None and until_s is not None:
            self._maintained_s = self.elapsed.total_s + until_s - self.elapsed.clocks.wall_s

    # Files -----------------------------------------------------------------------------------------------------------

    def _write_now(self, name: str, document: Any) -> None:
        path = self._directory / name
        try:
            replace_file(path, json_line(document))
        except OSError as error:
            raise state_error(path, error, "write this file") from error

    def _list(self, name: str) -> list[Any]:
        document = self._read(name)
        return document[-MOMENTS_MAX:] if isinstance(document, list) else []

    def _read(self, name: str) -> Any:
        return self._read_file(self._directory / name)

    def _read_file(self, path: Path) -> Any:
        try:
            return read_json(path)
        except HagitError as error:
            self.problems.append(str(error))
            return None


def write_memory(run: Path, boot: str, memory: Memory) -> None:
    """Write the memory of a daemon, or of `hagit adopt`, for the next daemon of this boot. Raises OSError."""
    document = {"boot": boot, "phase": memory.phase, "epoch": memory.epoch, "quiet": memory.quiet}
    replace_file(run / "memory", json_line(document))


def _agreement(document: Any) -> Agreement | None:
    known = document if isinstance(document, dict) else {}
    found = (known.get(name) for name in ("lives", "feeds", "waits"))
    limits = [limit for limit in found if type(limit) is int and 0 < limit <= 2 * TIMER_MS_MAX]
    return Agreement(*limits) if len(limits) == 3 else None


def _total_s(entry: Any) -> float | None:
    return seconds(entry.get("total")) if isinstance(entry, dict) else None
