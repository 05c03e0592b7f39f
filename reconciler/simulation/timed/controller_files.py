"""The files of a controller of the timed world, on its own disk: its shelf, resets and moves; and its wall clock.

The files hold totals of `core/failover/machine/elapsed_time`, as the ledger of the real watchdog does. The true moments
stand beside them for the checkers. The wall clock keeps its error over a reset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.core.failover.machine.agreed_limits import Agreement, agreement
from reconciler.core.failover.machine.elapsed_time import Clocks, Elapsed, advanced, recent_count, to_be_saved
from reconciler.core.failover.orders.orders import Layout, Limits
from reconciler.core.failover.reservations.key import Side

if TYPE_CHECKING:
    from reconciler.simulation.timed.controller import Controller
    from reconciler.simulation.timed.world import World

#: The true year of a run. A fault sets the wall clock to another one: a dead battery, a mistake.
YEAR: Final = 2030
YEARS: Final = ("1970", "2029", "2030", "2099")
YEAR_S: Final = 31_556_952


class Files:
    """Files that survive every reset. `resets_ms` and `moves_ms` are true moments, `moves_local_ms` local ones.

    `shelf` is the shelf in force.
    """

    def __init__(self, world: World, one: Controller) -> None:
        self._world, self._one = world, one
        self.shelf: Layout | None = None
        self.resets_ms: list[int] = []
        self.moves_ms: list[int] = []
        self.moves_local_ms: list[int] = []
        self._resets_s: list[float] = []
        self._moves_s: list[float] = []
        self._elapsed: Elapsed | None = None
        self.agreement: Agreement | None = None
        self._wrong_s = 0
        self._booted_ms = self._life = 0

    def set_wall_clock(self, year: int) -> None:
        """Set the wall clock to this year."""
        self._wrong_s = (year - YEAR) * YEAR_S

    def boots(self) -> None:
        """The daemon starts, perhaps in a new boot of the machine."""
        if self._life != self._one.life:
            self._life, self._booted_ms = self._one.life, self._world.now_ms
        self._save()

    def ticks(self) -> None:
        """The daemon runs: save what is due."""
        if self._one.core is not None:
            self.agreement = agreement(self._one.core)
        if self._elapsed is not None and to_be_saved(self._elapsed, self._clocks()):
            self._save()

    def note_reset(self) -> None:
        """Record that the controller resets itself, or that its hardware watchdog does."""
        self.resets_ms.append(self._world.now_ms)
        self._resets_s.append(self._save())

    def note_move(self) -> None:
        """Record that an automatic move begins."""
        self.moves_ms.append(self._world.now_ms)
        self.moves_local_ms.append(self._one.clock())
        self._moves_s.append(self._save())

    def recent(self, limits: Limits) -> tuple[int, int]:
        """Return how many resets and how many moves are within the windows, according to the files."""
        total_s = self._save()
        resets = recent_count(tuple(self._resets_s), total_s, limits.resets_window_ms)
        return resets, recent_count(tuple(self._moves_s), total_s, limits.moves_window_ms)

    def _save(self) -> float:
        self._elapsed = advanced(self._elapsed, self._clocks())
        return self._elapsed.total_s

    def _clocks(self) -> Clocks:
        now_ms = self._world.now_ms
        wall_s = (YEAR - 1970) * YEAR_S + self._wrong_s + now_ms / 1_000
        return Clocks(str(self._life), (now_ms - self._booted_ms) / 1_000, wall_s)


def set_wall_clock(world: World, words: tuple[str, ...]) -> None:
    """Inject the fault: set the wall clock of a controller to a year."""
    world.controller(Side(words[0])).files.set_wall_clock(int(words[1]))


def set_right(world: World, words: tuple[str, ...]) -> None:
    """Set the wall clock right again."""
    world.controller(Side(words[0])).files.set_wall_clock(YEAR)
