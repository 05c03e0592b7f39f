"""The pools of the orders on real OpenZFS: the protocol `SharedPools` of `core/failover/ports`.

Decides how pools are imported and exported:

- by GUID, from exactly the disks of the orders that answer and carry it: nothing is scanned, no other pool is found;
  those that do not answer refuse meanwhile (`offline_disks`), because the kernel would open them, too, and wait;
- from labels that are read after the claim, when no other host writes any more: to read them earlier would save a
  moment, and they could lack what the last owner changed meanwhile (a disk that it gave up, for one);
- `cachefile=none`: nothing imports it at boot; `failmode=panic`: a controller whose writes fail, because it was
  fenced, ends instead of answering from memory;
- `-l`, where the orders name one pool: the same program loads the keys and then mounts, many filesystems at a time, as
  starting another one takes its time. What it could not do is done and told by `mounts`. Several pools are imported
  with `-N`: one may have a filesystem below a mountpoint of another, so they are mounted together;
- an export unmounts first, as soon as no process uses the mounts (`unmounts`);
- `-f`: ZFS refuses pools that another host used last. Every takeover is such a case. The caller of `import_` has the
  claim's right: its reservation was seen on every top-level vdev after the peer's was gone, so the peer writes no more.
  Without that right it must not be called: the fence makes `-f` safe.

A pool of the orders that does not exist yet is taken like the others and is as good as imported, so that the agent can
make it here, under our reservation; `import_devices.is_unmade` says which.

It looks by /proc/spl alone, which waits for nothing; `zpool status` is a child that is asked and not waited for. ZFS
does not tell which writes a disk refuses with a reservation conflict: on Linux that error has the number of ZFS' own
checksum errors (EBADE), for which `zpool events` shows no error of the device. The looks at the reservations and our
own records tell it. Several pools move at once. What a program did not end by the deadline may go on in the kernel;
then `look` says SOME, and no further import or export begins before it has ended (`pool_lock`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.ports import PoolsView
from reconciler.core.failover.reservations.current_copies import pools_of
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.reservations.transaction_groups import NOTHING, mark, txg_of
from reconciler.system.zfs import arguments, tools
from reconciler.system.zfs.devices import data_path
from reconciler.system.zfs.faulted_devices import FaultedDevices
from reconciler.system.zfs.guids import Guids
from reconciler.system.zfs.import_devices import ImportDevices, find_import_devices, incomplete, is_unmade, of_another
from reconciler.system.zfs.kstat import Groups, groups, pool_instance, pool_state
from reconciler.system.zfs.label_reader import DeviceContent, read_devices
from reconciler.system.zfs.mounts import Mounter
from reconciler.system.zfs.offline_disks import disks_offline, states
from reconciler.system.zfs.pool_lock import RUN, PoolLock
from reconciler.system.zfs.pool_state import (
    SAMPLE_MS,
    SERVING,
    CommittedTxg,
    PoolState,
    SettledState,
    WriteProgress,
    all_pools,
    state_of_pool,
)
from reconciler.system.zfs.processor_time import ProcessorTime
from reconciler.system.zfs.progress import ProgressCounter, progress_of, telling
from reconciler.system.zfs.unmounts import few, shared, unmount

#: A disk that has not shown its label by then, or much later than others, is silent.
LABELS_S: Final = 2.0
#: An older pool that was imported is exported at once, and no later than this.
OLDER_S: Final = 5.0
#: Longest wait for the labels of disks that are all slow.
LABELS_S_MAX: Final = 30.0
#: Longest wait for what another move left behind in the kernel; then this one is tried again.
HELD_S: Final = 30.0
#: An export of a pool that is busy is tried again after this.
BUSY_S: Final = 0.01


def note(text: str) -> None:
    """For the journal."""
    print(f"pools: {text}", file=sys.stderr, flush=True)


class ZfsPools:
    """The pools that the orders name, each from the disks of the orders in one directory."""

    def __init__(
        self, directory: Path, side: Side, orders: Orders, *, run: Path = RUN, say: Callable[[str], None] = note
    ) -> None:
        self._directory = directory
        self._orders = orders
        self._pools = pools_of(orders)
        self._moving = PoolLock(run)
        self._say = say
        self._belief = SettledState()
        self._progress = {pool: WriteProgress() for pool in self._pools}
        self._given_up = FaultedDevices(directory, orders.disks, self._pools)
        self._judged: set[str] = set()
        self._reached = {pool: CommittedTxg() for pool in self._pools}
        self._guids = Guids()
        #: Pools that came out older than their last owner's word, and are not exported again yet.
        self._older: set[str] = set()
        self._mounter = Mounter(say)
        self._processor_time = ProcessorTime()
        self._counter = ProgressCounter()

    # The protocol ----------------------------------------------------------------------------------------------------

    def look(self, deadline_s: float) -> PoolsView:
        """See `SharedPools.look`."""
        end_s = time.monotonic() + deadline_s
        while True:
            states, sample = self._sample()
            if sample is Presence.SOME and self._judge(states, end_s):
                states, sample = self._sample()
            self._belief = self._belief.with_sample(sample, _now_ms())
            if self._belief.settled or time.monotonic() + SAMPLE_MS / 1000 >= end_s:
                break
            time.sleep(SAMPLE_MS / 1000)
        accepted = self._belief.accepted
        moving = self._moving.going_on()
        progress, used, doing = self._progressed(states) if moving else (0, False, "")
        if accepted is Presence.NONE:
            # An import first reads labels and tries the pool out: progress before any pool is here.
            self._given_up.forget()
            return PoolsView(accepted, progress=progress, doing=doing)
        out = self._given_up.known() if moving and accepted is Presence.SOME else self._given_up.look(states, end_s)
        return PoolsView(accepted, out, progress, used, doing, self._words())

    def import_(self, deadline_s: float, excused: frozenset[int] = frozenset(), txgs: tuple[int, ...] = ()) -> bool:
        """See `SharedPools.import_`."""
        end_s = time.monotonic() + deadline_s
        with self._moving.held(min(deadline_s, HELD_S)) as lock:
            if lock is None:
                self._say("an import or export that was begun before has not ended")
                return False
            absent = [pool for pool in self._pools if pool_state(pool) is None]
            good = not absent or self._import(absent, excused, txgs, end_s, lock)
            there = [pool for pool in self._pools if pool_state(pool) is not None]
            self._older.intersection_update(there)
            here = [pool for pool in there if not self._moving.ready(pool) and pool not in self._older]
            for pool in self._mounter.mount(here, end_s, lock):
                self._moving.set_ready(pool, ready=True)
            if not good and all(pool_state(pool) is None for pool in self._pools):
                # Nothing was taken: neither was what has not been made.
                self._forget_unmade()
            return good and all(self._moving.ready(pool) or self._moving.unmade(pool) for pool in self._pools)

    def export(self, deadline_s: float) -> bool:
        """See `SharedPools.export`."""
        end_s = time.monotonic() + deadline_s
        with self._moving.held(min(deadline_s, HELD_S)) as lock:
            if lock is None:
                self._say("an import or export that was begun before has not ended")
                return False
            self._forget_unmade()
            self._moving.allowed_export()
            said: dict[str, str] = {}
            while here := [pool for pool in self._pools if pool_state(pool) is not None]:
                left_s = end_s - time.monotonic()
                if left_s <= 0:
                    return False
                if len(here) < len(self._pools):
                    # What has gone does not come back by itself.
                    self._moving.allowed_export()
                begun_s = time.monotonic()
                for pool in here:
                    self._moving.set_ready(pool, ready=False)
                # Whatever zpool said, it had withdrawn by then what is shared.
                if said or (few(here) and not shared()):
                    unmount(here, left_s, lock)
                    left_s = end_s - time.monotonic()
                    if left_s <= 0:
                        self._say(f"export of {', '.join(here)}: what is mounted could not be unmounted in time")
                        return False
                argvs = [arguments.export_pool(pool) for pool in here]
                outcomes = tools.run_all(argvs, width=len(here), deadline_s=left_s, keep=(lock,), nice=tools.URGENT)
                for pool, outcome in zip(here, outcomes, strict=True):
                    fault = _fault(outcome)
                    if fault and said.get(pool) != fault:
                        said[pool] = fault
                        self._say(f"export of {pool}: {fault}")
                if any(_in_use(outcome) for outcome in outcomes):
                    self._moving.refused_export(time.monotonic() - begun_s)
                if any(_fault(outcome) for outcome in outcomes):
                    self._moving.repeats(lock)
                    # A process may still close its files.
                    time.sleep(max(0.0, min(BUSY_S, end_s - time.monotonic())))
            return True

    def close(self) -> None:
        """See `SharedPools.close`."""
        self._given_up.forget()
        self._guids.close()

    # Inside ----------------------------------------------------------------------------------------------------------

    def _sample(self) -> tuple[dict[str, str], Presence]:
        """What the kernel says now: the state of every pool that it knows, and what that makes together."""
        moving = self._moving.going_on()
        now_ms = _now_ms()
        states: dict[str, str] = {}
        standings: list[PoolState] = []
        for pool in self._pools:
            state = pool_state(pool)
            unmade = self._moving.unmade(pool)
            if state is not None:
                states[pool] = state
                # Not before it serves: the kernel opens and labels all its disks first, and may give it up again.
                if unmade and state in SERVING:
                    self._moving.set_unmade(pool, unmade=False)
            # The instance first: where another pool takes the name meanwhile, its low numbers change nothing.
            instance = pool_instance(pool) if state is not None else ""
            found = groups(pool) if state is not None else Groups()
            self._reached[pool] = self._reached[pool].with_sample(instance, found.durable)
            progress = self._progress[pool].with_sample(found.pending, now_ms)
            self._progress[pool] = progress
            ready, stuck = self._moving.ready(pool), progress.stuck(now_ms)
            standings.append(state_of_pool(state, ready=ready, stuck=stuck, unmade=unmade))
        return states, all_pools(standings, moving=moving)

    def _progressed(self, states: Mapping[str, str]) -> tuple[int, bool, str]:
        """How the import or export in progress goes on; an export that is refused does not, whatever disks do."""
        arbitration = frozenset(self._orders.arbitration)
        devices = telling((path, at in arbitration) for at, path in self._paths().items())
        found, refused = progress_of(self._pools, devices), self._moving.in_use()
        found = replace(found, processor_ms=self._processor_time.look(self._moving.mover()))
        counted = self._counter.look(found, refused=refused)
        whole = all(pool in states or self._moving.unmade(pool) for pool in self._pools)
        return counted.number, refused and whole, str(found)

    def _judge(self, states: Mapping[str, str], end_s: float) -> bool:
        """Once for each pool that is not here while others are: newer orders may name one that is still to be made.

        Whether any is.
        """
        missing = {pool for pool in self._pools if pool not in states and not self._moving.unmade(pool)}
        if missing <= self._judged or len(missing) == len(self._pools) or self._moving.going_on():
            return False
        seen = self._seen(max(0.0, end_s - time.monotonic()))
        self._judged |= missing
        with self._moving.held(0.0) as lock:
            # An export that has begun meanwhile would not take the mark away again.
            here = any(pool_state(pool) is not None or self._moving.unmade(pool) for pool in self._pools)
            unmade = [pool for pool in sorted(missing) if is_unmade(pool, self._orders, _bare(seen))]
            for pool in unmade if lock is not None and here else ():
                self._moving.set_unmade(pool, unmade=True)
            return lock is not None and here and bool(unmade)

    def _forget_unmade(self) -> None:
        for pool in self._pools:
            self._moving.set_unmade(pool, unmade=False)

    def _seen(self, deadline_s: float) -> dict[int, DeviceContent]:
        return read_devices(self._paths(), deadline_s, LABELS_S)

    def _paths(self) -> dict[int, Path]:
        return {at: data_path(self._directory, name) for at, name in enumerate(self._orders.disks)}

    def _import(
        self, pools: Sequence[str], excused: frozenset[int], txgs: tuple[int, ...], end_s: float, lock: int
    ) -> bool:
        seen = self._seen(min(LABELS_S_MAX, max(0.0, end_s - time.monotonic()) / 2))
        labels, bare = {at: one.label for at, one in seen.items()}, _bare(seen)
        # Of some disks this kernel may know the partitions only since they were read.
        paths = self._paths()
        if lines := incomplete(self._orders, labels, excused, bare, txgs):
            for line in lines:
                self._say(line)
            return False
        for pool in of_another(self._orders, labels, txgs):
            self._say(
                f"pool {pool} is not the one that the last owner had, so its word of how far that one came is void"
            )
        words = dict(zip(self._pools, txgs, strict=False))
        wanted: list[ImportDevices] = []
        good = True
        for pool in pools:
            self._moving.set_ready(pool, ready=False)
            unmade = is_unmade(pool, self._orders, bare)
            self._moving.set_unmade(pool, unmade=unmade)
            if unmade:
                continue
            found = find_import_devices(pool, self._orders, labels, bare, txgs)
            if found.refusal:
                self._say(found.refusal)
                good = False
            else:
                wanted.append(found)
        together = len(self._pools) == 1
        argvs = [
            arguments.import_pool(one.guid, [str(paths[at]) for at in one.disks], mount=together) for one in wanted
        ]
        silent = [name for at, name in enumerate(self._orders.disks) if at not in labels]
        with disks_offline(states(self._directory, silent)):
            left_s = max(0.0, end_s - time.monotonic())
            width = max(1, len(argvs))
            outcomes = tools.run_all(argvs, width=width, deadline_s=left_s, keep=(lock,), nice=tools.URGENT)
        for one, outcome in zip(wanted, outcomes, strict=True):
            fault = _fault(outcome)
            if together and isinstance(outcome, tools.Ended) and pool_state(one.pool) is not None:
                # It is here. What was said is of keys and mounts, and does not always show in the code.
                self._moving.set_ready(one.pool, ready=not fault and not outcome.stderr)
            elif fault:
                self._say(f"import of {one.pool}: {fault}")
                good = False
            good = self._is_current(one, words.get(one.pool, NOTHING), lock) and good
        return good

    def _words(self) -> tuple[int, ...]:
        """How far each pool has come that is served here: what the disks have for certain, and never more."""
        served = {pool: reached for pool, reached in self._reached.items() if self._moving.ready(pool)}
        guids = self._guids.look({pool: reached.instance for pool, reached in served.items()})
        return tuple(mark(guids[pool], served[pool].txg) if pool in guids else NOTHING for pool in self._pools)

    def _is_current(self, one: ImportDevices, word: int, lock: int) -> bool:
        """Whether an imported pool is as new as its last owner's word: nothing may be served from an older one.

        The kernel goes on from the group that the disks ended with, so the oldest that it knows now is a later one.
        """
        oldest, said = groups(one.pool).oldest, txg_of(word, one.guid)
        if not oldest or oldest > said:
            return True
        self._say(f"pool {one.pool} was imported at transaction group {oldest}, its last owner had committed {said}")
        self._moving.set_ready(one.pool, ready=False)
        self._older.add(one.pool)
        tools.run_all([arguments.export_pool(one.pool)], width=1, deadline_s=OLDER_S, keep=(lock,), nice=tools.URGENT)
        return False


def _in_use(outcome: tools.Outcome) -> bool:
    """Refused with EBUSY: `cannot unmount …: pool or dataset is busy`, `cannot export …: pool is busy`."""
    return isinstance(outcome, tools.Ended) and bool(outcome.code) and "busy" in outcome.stderr


def _bare(seen: Mapping[int, DeviceContent]) -> frozenset[int]:
    return frozenset(at for at, one in seen.items() if one.bare)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _fault(outcome: tools.Outcome) -> str:
    """In one line, for the journal."""
    return " ".join(tools.fault_of(outcome).split())
