"""What outlives the daemon: its memory, its number, and when this controller moved and reset itself.

`run/memory` is written by the loop before a phase is acted upon; it must vanish with a reset, so it lies in /run, and
names the boot it belongs to. So does `run/orders`: a daemon that starts over imported pools and cannot read the
published orders goes on with those that its predecessor followed. Everything else lies in the state directory, which
may be slow: it is read at the start and written by the clerk. Moments that outlive a boot are seconds of the wall
clock; one in the future counts as now. Does not decide what is remembered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.key import EPOCH_MAX
from reconciler.core.failover.orders import Limits, Orders
from reconciler.core.failover.orders_document import ORDERS_BYTES_MAX, decode_orders, orders_document
from reconciler.core.failover.phase import GUARANTEES, Phase
from reconciler.core.failover.seal import Purpose, derive
from reconciler.core.failover.state import Memory
from reconciler.errors import HagitError
from reconciler.system.clock import wall_s
from reconciler.system.files import PUBLIC_DIRECTORY, make_directory, read_bytes, read_json, state_error
from reconciler.system.machine import boot_id
from reconciler.watchdog.clerk import Clerk
from reconciler.watchdog.durable import replace_file

#: More than any budget of the orders can need; older moments are dropped.
MOMENTS_MAX: Final = 1_000


def inherits(run: Path) -> bool:
    """Whether a daemon of this boot owned the pools when it ended: the next one must not fail to start."""
    try:
        document = read_json(run / "memory")
    except HagitError:
        return False
    owned = {phase.value for phase in Phase if GUARANTEES[phase].required}
    return isinstance(document, dict) and document.get("boot") == boot_id() and document.get("phase") in owned


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset that this controller made itself suffer, or was made to suffer by its deadman."""

    at_s: float
    why: str


class Ledger:
    """The files of one controller. `complaints` says what could not be read, which keeps no daemon from starting.

    `begins` is False for a daemon that waits to take over from one that runs: it writes nothing until `take_over`.
    Raises StateError when the directories cannot be made or the daemon's number cannot be written.
    """

    def __init__(self, state: Path, run: Path, clerk: Clerk, *, begins: bool = True) -> None:
        self.complaints: list[str] = []
        self._clerk = clerk
        self._directory = state / "watchdog"
        self._memory, self._kept = run / "memory", run / "orders"
        make_directory(state, PUBLIC_DIRECTORY)
        make_directory(self._directory)
        make_directory(run, PUBLIC_DIRECTORY)
        self.boot = boot_id()
        self._begun = begins
        self.incarnation = self._rise() if begins else 0
        self._read_all()
        self._life(write=begins)

    def take_over(self, incarnation: int | None) -> None:
        """Go on with what the daemon before left in the files. None: as a new daemon, with a number of its own."""
        self.complaints.clear()
        self._begun = True
        self.incarnation = self._rise() if incarnation is None else incarnation
        self._read_all()
        self._life(write=False)

    def _read_all(self) -> None:
        self.moves_s = [float(moment) for moment in self._list("moves.json") if isinstance(moment, int | float)]
        self.resets = [
            Reset(float(entry["at"]), str(entry["why"]))
            for entry in self._list("resets.json")
            if isinstance(entry, dict) and isinstance(entry.get("at"), int | float) and "why" in entry
        ]
        self._key = derive(self.boot.encode(), Purpose.ORDERS, "run")
        self.remembered = self._remembered()
        maintenance = self._read("maintenance.json")
        until = maintenance.get("until") if isinstance(maintenance, dict) else None
        self.maintenance_s = until if isinstance(until, int | float) else None
        self.override = isinstance(maintenance, dict) and maintenance.get("override") is True
        accepted = self._read("accepted.json")
        known = accepted if isinstance(accepted, dict) else {}
        self.generation_max = known["generation"] if isinstance(known.get("generation"), int) else 0
        self.pair = known["pair"] if isinstance(known.get("pair"), str) else ""
        peer = self._read("peer.json")
        reads = peer.get("reads") if isinstance(peer, dict) else None
        self.peer_reads = reads if type(reads) is int and reads >= 1 else 1

    def _rise(self) -> int:
        """The number of this start: higher than every earlier one, even if the file that kept it was lost.

        The wall clock is only the floor: a clock that was set back does not lower a number that was kept.
        """
        document = self._read("incarnation")
        kept = document.get("incarnation") if isinstance(document, dict) else None
        number = max((kept if isinstance(kept, int) else 0) + 1, int(wall_s()))
        self._write_now("incarnation", {"incarnation": number})
        return number

    def _life(self, *, write: bool) -> None:
        """Whether the daemon before this one died with the machine: it fed the deadman in an earlier boot."""
        life = self._read("life.json")
        earlier = life if isinstance(life, dict) else {}
        same = earlier.get("boot") == self.boot
        self.died_with_machine = bool(earlier.get("fed")) and not same
        self.fed = bool(earlier.get("fed")) and same
        if write:
            self._write_now("life.json", {"boot": self.boot, "fed": self.fed})

    def note_fed(self, fed: bool) -> None:
        """The deadman is armed, or was disarmed in good order."""
        if fed is not self.fed:
            self.fed = fed
            self._clerk.write(self._directory / "life.json", _json({"boot": self.boot, "fed": fed}))

    # Memory ----------------------------------------------------------------------------------------------------------

    def remember(self, memory: Memory | None) -> None:
        """Write what must outlive the daemon, or take it away. Synced, as far as the file system can."""
        if memory is None:
            self._memory.unlink(missing_ok=True)
        else:
            write_memory(self._memory.parent, self.boot, memory)
        self.remembered = memory

    def _remembered(self) -> Memory | None:
        document = self._read_file(self._memory)
        if not isinstance(document, dict) or document.get("boot") != self.boot:
            return None
        phase, epoch, quiet = (document.get(key) for key in ("phase", "epoch", "quiet"))
        if phase not in set(Phase) or type(epoch) is not int or not 0 < epoch <= EPOCH_MAX or type(quiet) is not bool:
            self.complaints.append(f"{self._memory} is damaged")
            return None
        return Memory(Phase(phase), epoch, quiet)

    def keep(self, orders: Orders) -> None:
        """These orders are in force; they are kept for a daemon that starts in this boot."""
        replace_file(self._kept, orders_document(orders, self._key), sync=False)

    def kept(self) -> Orders | None:
        """The orders that were in force last in this boot; None without any, or when the file is damaged."""
        try:
            data = read_bytes(self._kept, ORDERS_BYTES_MAX)
        except HagitError:
            return None
        read = decode_orders(data, self._key) if data is not None else None
        return read if isinstance(read, Orders) else None

    # Moves and resets ------------------------------------------------------------------------------------------------

    def moved(self) -> None:
        """An automatic move began."""
        self.moves_s = [*self.moves_s, wall_s()][-MOMENTS_MAX:]
        self._clerk.write(self._directory / "moves.json", _json(self.moves_s))

    def resets_itself(self, why: str, wait_s: float) -> None:
        """The sentinel: written and synced before a reset, waiting for the disk no longer than `wait_s`."""
        self._note_reset(why)
        self.fed = False
        self._clerk.write(self._directory / "life.json", _json({"boot": self.boot, "fed": False}))
        self._clerk.flush(wait_s)

    def was_reset(self, why: str) -> None:
        """The deadman ended the last life of this controller."""
        self._note_reset(why)

    def _note_reset(self, why: str) -> None:
        self.resets = [*self.resets, Reset(wall_s(), why)][-MOMENTS_MAX:]
        document = [{"at": reset.at_s, "why": reset.why} for reset in self.resets]
        self._clerk.write(self._directory / "resets.json", _json(document))

    def recent(self, limits: Limits) -> tuple[int, int]:
        """How many resets and how many automatic moves lie in the windows of the orders."""
        now_s = wall_s()
        resets = sum(now_s - reset.at_s < limits.resets_window_ms / 1_000 for reset in self.resets)
        moves = sum(now_s - moment < limits.moves_window_ms / 1_000 for moment in self.moves_s)
        return resets, moves

    def accepted(self, pair: str, generation: int) -> None:
        """These orders are in force: older ones and those of another pair are refused, by later daemons, too."""
        if (pair, generation) != (self.pair, self.generation_max):
            self.pair, self.generation_max = pair, max(generation, self.generation_max)
            self._clerk.write(
                self._directory / "accepted.json", _json({"pair": pair, "generation": self.generation_max})
            )

    def note_peer_reads(self, version: int) -> None:
        """The highest layout version of heartbeats that the peer reads; a daemon that restarts begins with it."""
        self.peer_reads = version
        if self._begun:
            self._clerk.write(self._directory / "peer.json", _json({"reads": version}))

    def maintain(self, until_s: float | None, override: bool = False) -> None:
        """Maintenance lasts until this moment of the wall clock, or is over; a daemon that restarts goes on with it."""
        self.maintenance_s, self.override = until_s, override
        document = {"until": until_s, "override": override}
        self._clerk.write(self._directory / "maintenance.json", _json(document))

    # Files -----------------------------------------------------------------------------------------------------------

    def _write_now(self, name: str, document: Any) -> None:
        path = self._directory / name
        try:
            replace_file(path, _json(document))
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
            self.complaints.append(str(error))
            return None


def write_memory(run: Path, boot: str, memory: Memory) -> None:
    """The file in which a daemon of this boot finds what it, or `hagit adopt`, has taken. Raises OSError."""
    document = {"boot": boot, "phase": memory.phase, "epoch": memory.epoch, "quiet": memory.quiet}
    replace_file(run / "memory", _json(document))


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"
