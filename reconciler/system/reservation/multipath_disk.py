"""One disk with all its paths, which are asked side by side: a path that hangs or fails hides no other one.

A disk with one path is asked in the caller's thread. With several paths each has a thread of its own (`nexus`), and
these rules hold:

- *Looks*: every path tells the same (SPC-4, 6.15), so the first whole answer counts. The next path is asked when the
  one before it fails or takes longer than `STAGGER_S`.
- *REGISTER and UNREGISTER* go over every path that runs, all at once. After the first path has done it, the others
  have `GRACE_S` more.
- *RESERVE and PREEMPT* go over one path, then over the next. What may have been done on one path is repeated on
  another, but then CONFLICT may be the echo of its success and counts as silence.

On one path nothing is overtaken: while a command that changes something goes on there after its time, nothing but looks
is asked of that path. Across paths a command may still be executed after later ones that went over
other paths. That is harmless for each pair of them: a late look changes nothing; a late RESERVE or PREEMPT needs a
registration of its path and names the exact key of its victim, so it does what was decided or meets CONFLICT; a late
UNREGISTER takes only the registration of its own path, and no other path makes that one the holder. What remains is a
late REGISTER, which may follow the UNREGISTER of the same claim or its loss. Hence the invariant: *a registration that
comes late is confirmed or undone by its own path, before anything else is done there*: where our key does not hold the
disk by then, the path gives its registration up.

Belongs to one thread. Does not know where its paths come from, nor why it is asked.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

from reconciler.core.failover.reservations.claim import Answer, Command, Reply, Verb
from reconciler.core.failover.reservations.key import Key, Side, encode_key
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.system.reservation.nexus import Ended, Job, Nexus, next_ended, when_settled
from reconciler.system.reservation.registration_state import DiskPort, Features, Registration, RegistrationState, Result

SILENT: Final = Reply(Answer.SILENT)
#: A path that has not answered a question after this is not waited for alone any longer: the next one is asked, too.
STAGGER_S: Final = 0.025
#: How long the other paths have for what one path has done.
GRACE_S: Final = 0.25
#: How often the paths of a disk are looked up while it is only asked: a path that came back is noticed by then.
RESCAN_S: Final = 1.0
#: How long a late registration is looked after, and how often it is tried.
SETTLE_S: Final = 5.0
SETTLE_TRIES: Final = 4

#: Raises an exception of the caller's choice when the disk is not there.
FindPorts = Callable[[], tuple[DiskPort, ...]]
#: The names of all paths of a disk that the kernel knows, those that are down included.
KnownPaths = Callable[[], tuple[str, ...]]

NUMBERS = itertools.count()


class MultipathDisk:
    """`find` is asked for the paths that run: at first, before each REGISTER, after silence, and every second.

    `known`: see `KnownPaths`. `place` tells this disk from others of this process, for what outlives this object.
    """

    def __init__(self, find: FindPorts, known: KnownPaths = lambda: (), place: tuple[str, ...] = ()) -> None:
        self._find, self._all = find, known
        self._place = place or (f"disk {next(NUMBERS)}",)
        self._nexuses: tuple[Nexus, ...] = ()
        self._stale = False
        self._found_s = 0.0
        #: Every path that this disk was ever known by: it may be registered though it is gone.
        self._ever: set[str] = set()
        #: The paths that are opened for us alone, which EXTEND registers.
        self.kept: frozenset[str] = frozenset()

    def standing(self, end_s: float) -> RegistrationState | Result:
        """What the first path that answers says; UNSUPPORTED when the disk knows no reservations at all."""
        found = self._first(lambda port: port.standing(end_s), end_s, lambda one: isinstance(one, RegistrationState))
        assert isinstance(found, RegistrationState | Result)
        self._stale = found is Result.SILENT
        return found

    def view(self, standing: RegistrationState, side: Side) -> DiskView:
        """`standing` for the core, with what our own paths have of it."""
        return standing.view(side, len(self._nexuses), len(self._ever))

    def registrations(self, end_s: float) -> tuple[Registration, ...] | Result:
        """The same with names, where the disk tells them."""
        found = self._first(lambda port: port.registrations(end_s), end_s, lambda one: not isinstance(one, Result))
        assert isinstance(found, tuple | Result)
        return found

    def features(self, end_s: float) -> Features:
        """What the disk says of itself."""
        found = self._first(lambda port: port.features(end_s), end_s, lambda one: isinstance(one, Features))
        return found if isinstance(found, Features) else Features()

    @property
    def paths(self) -> tuple[str, ...]:
        """The kernel's names of the paths that were found last."""
        return tuple(nexus.name for nexus in self._nexuses)

    def perform(self, command: Command, end_s: float) -> Reply:
        """See `Shelf.perform`."""
        key, side = encode_key(command.key), command.key.side
        if self._nexuses and all(nexus.late for nexus in self._nexuses):
            return SILENT
        match command.verb:
            case Verb.LOOK:
                found = self.standing(end_s)
                assert side is not None
                return Reply(Answer.GOOD, self.view(found, side)) if isinstance(found, RegistrationState) else SILENT
            case Verb.REGISTER:
                return self._register(key, end_s)
            case Verb.UNREGISTER:
                return self._unregister(key, end_s)
            case Verb.EXTEND:
                return self._register(key, end_s, only=self.kept)
            case Verb.RESERVE:
                return self._once(lambda port, until_s: port.reserve(key, until_s), end_s)
            case Verb.PREEMPT:
                assert command.victim is not None
                victim = encode_key(command.victim)
                return self._once(lambda port, until_s: port.preempt(key, victim, until_s), end_s)

    @property
    def down(self) -> tuple[str, ...]:
        """The names of paths that it was known by and that do not run."""
        return tuple(sorted(self._ever - set(self.paths)))

    def unregistered(self, command_key: Key, end_s: float) -> tuple[str, ...]:
        """The paths that say they are not registered with this key; one that says nothing is not among them."""
        key = encode_key(command_key)
        nexuses = [nexus for nexus in self._known() if not nexus.late]
        ended: Ended = SimpleQueue()
        jobs = [nexus.ask(lambda port: port.renew(key, end_s), ended) for nexus in nexuses]
        found = []
        try:
            for _ in jobs:
                job = next_ended(ended, end_s)
                if job is None:
                    break
                found += [job.nexus.name] if job.result is Result.CONFLICT else []
        finally:
            for job in jobs:
                job.nexus.leave(job, remember=True)
        return tuple(found)

    def when_settled(self, do: Callable[[], None]) -> None:
        """Do it once no command that changes something is under way on a path after its time."""
        when_settled(self._place, do)

    def close(self) -> None:
        """Close every path; the next question finds them anew. What has begun ends by itself."""
        for nexus in self._nexuses:
            nexus.close()
        self._nexuses = ()

    # Paths -----------------------------------------------------------------------------------------------------------

    def _known(self, *, anew: bool = False) -> list[Nexus]:
        """The paths, those first that are likely to answer. `anew`: looked up and opened again."""
        if anew or self._stale or not self._nexuses:
            self._look_up()
            for nexus in self._nexuses:
                nexus.reopen()
        elif time.monotonic() - self._found_s >= RESCAN_S:
            # A name that is missing for a moment takes no path away that answers.
            with contextlib.suppress(Exception):
                self._look_up()
        return sorted(self._nexuses, key=lambda nexus: (nexus.busy, not nexus.trusted))

    def _look_up(self) -> None:
        self._found_s = time.monotonic()
        there = {nexus.name: nexus for nexus in self._nexuses}
        ports = self._find()
        fresh = (Nexus(port, (*self._place, port.name)) if port.name not in there else None for port in ports)
        self._nexuses = tuple(new or there.pop(port.name) for new, port in zip(fresh, ports, strict=True))
        for nexus in there.values():
            nexus.close()
        self._stale = False
        self._ever |= {port.name for port in ports} | set(self._all())

    # What is asked ---------------------------------------------------------------------------------------------------

    def _first(self, do: Callable[[DiskPort], Any], end_s: float, whole: Callable[[Any], bool]) -> Any:
        """The first answer that is `whole`; otherwise UNSUPPORTED if a path said so, else SILENT."""
        nexuses = self._known()
        if len(self._nexuses) == 1 and _is_free(nexuses[0]):
            found = do(nexuses[0].port)
            return found if whole(found) or found is Result.UNSUPPORTED else Result.SILENT
        ended: Ended = SimpleQueue()
        jobs: list[Job] = []
        heard, said = 0, Result.SILENT
        try:
            while time.monotonic() < end_s and (nexuses or heard < len(jobs)):
                if nexuses:
                    jobs.append(nexuses.pop(0).ask(do, ended))
                until_s = min(end_s, time.monotonic() + STAGGER_S) if nexuses else end_s
                if heard < len(jobs) and (job := next_ended(ended, until_s)) is not None:
                    heard += 1
                    if whole(job.result):
                        return job.result
                    said = Result.UNSUPPORTED if job.result is Result.UNSUPPORTED else said
            return said
        finally:
            for job in jobs:
                job.nexus.leave(job, remember=False)

    def _register(self, key: int, end_s: float, only: frozenset[str] | None = None) -> Reply:
        nexuses = self._known(anew=True) if only is None else [one for one in self._known() if one.name in only]
        results, _ = self._everywhere(
            nexuses,
            lambda port: port.register(key, end_s),
            end_s,
            lambda port, result: _settle(port, key, result),
        )
        if Result.CONFLICT in results:
            return Reply(Answer.CONFLICT)
        if Result.GOOD in results and Result.UNSUPPORTED not in results:
            return Reply(Answer.GOOD)
        self._stale = True
        return SILENT

    def _unregister(self, key: int, end_s: float) -> Reply:
        """GOOD only when no path is left that may still do something."""
        results, all_ended = self._everywhere(self._known(), lambda port: port.unregister(key, end_s), end_s)
        if Result.CONFLICT in results and Result.GOOD not in results:
            return Reply(Answer.CONFLICT)
        if Result.GOOD in results and Result.UNSUPPORTED not in results and all_ended:
            return Reply(Answer.GOOD)
        self._stale = True
        return SILENT

    def _everywhere(
        self,
        nexuses: list[Nexus],
        do: Callable[[DiskPort], Result],
        end_s: float,
        late: Callable[[DiskPort, Any], None] | None = None,
    ) -> tuple[set[Result], bool]:
        """On every path at once: how it ended on each, and whether it has ended on each."""
        if len(self._nexuses) == 1 and _is_free(nexuses[0]):
            return {do(nexuses[0].port)}, True
        ended: Ended = SimpleQueue()
        jobs = [nexus.ask(do, ended, late) for nexus in nexuses if not nexus.late]
        results: set[Result] = set()
        all_ended, until_s = len(jobs) == len(nexuses), end_s
        try:
            for _ in jobs:
                job = next_ended(ended, until_s)
                if job is None:
                    break
                if job.result in (Result.GOOD, Result.CONFLICT):
                    until_s = min(until_s, time.monotonic() + GRACE_S)
        finally:
            for job in jobs:
                results.add(job.nexus.leave(job, remember=True))
                all_ended = all_ended and job.done
        return results, all_ended

    def _once(self, do: Callable[[DiskPort, float], Result], end_s: float) -> Reply:
        """On the first path that does it; each has its share of the time."""
        doubt, nexuses = False, [nexus for nexus in self._known() if not nexus.late]
        while nexuses:
            nexus = nexuses.pop(0)
            match self._on(nexus, do, end_s, sole=not nexuses and not doubt, last=not nexuses):
                case Result.GOOD:
                    return Reply(Answer.GOOD)
                case Result.CONFLICT:
                    return SILENT if doubt else Reply(Answer.CONFLICT)
                case Result.UNSUPPORTED:
                    return SILENT
                case Result.SILENT:
                    doubt = True
        self._stale = True
        return SILENT

    def _on(
        self, nexus: Nexus, do: Callable[[DiskPort, float], Result], end_s: float, *, sole: bool, last: bool
    ) -> Result:
        if sole and len(self._nexuses) == 1 and _is_free(nexus):
            return do(nexus.port, end_s)
        now_s = time.monotonic()
        until_s = end_s if last else now_s + max(0.0, end_s - now_s) / 2
        ended: Ended = SimpleQueue()
        job = nexus.ask(lambda port: do(port, until_s), ended)
        try:
            next_ended(ended, until_s)
        finally:
            result = nexus.leave(job, remember=True)
        assert isinstance(result, Result)
        return result


def _is_free(nexus: Nexus) -> bool:
    """The only path of a disk needs no thread, unless it has one already or something late is under way there."""
    return not nexus.threaded and not nexus.busy


def _settle(port: DiskPort, key: int, result: Any) -> None:
    """A registration came late: keep it where our key holds the disk, else give it up. See above.

    While the disk does not answer, nothing is given up: this path may be the holder itself, under a new name, and the
    disk would be left without a holder.
    """
    if result not in (Result.GOOD, Result.SILENT):
        return
    end_s = time.monotonic() + SETTLE_S
    for _ in range(SETTLE_TRIES):
        found = port.standing(end_s)
        if isinstance(found, RegistrationState):
            if found.holder != key and key in found.registered:
                port.unregister(key, end_s)
            return
