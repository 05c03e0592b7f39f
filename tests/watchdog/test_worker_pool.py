"""Worker processes at a simulated shelf: a hanging worker is killed, and the reply of a killed worker is dropped."""

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.ports import PoolsView, Written
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import Fence, fence
from reconciler.watchdog.worker_handle import WorkerCondition
from reconciler.watchdog.worker_pool import WorkerAnswer, WorkerPool
from reconciler.watchdog.worker_protocol import (
    AuditReply,
    ClaimReply,
    DisksReply,
    ExportPools,
    FailedReply,
    ImportPools,
    LookAtDisks,
    LookAtPools,
    MoveReply,
    PoolsReply,
    RecordReply,
    RunAudit,
    RunClaim,
    WorkerKind,
    WorkerReply,
    WorkerRequest,
    WriteRecord,
)
from tests.system.shelf.rig import DISKS, LONG_S, SimulatedRig, orders

LONG_MS = int(LONG_S * 1000)
KEY = Key(Side.A, 1)
#: The workers that every watchdog starts.
ALWAYS = tuple(kind for kind in WorkerKind if kind.starts_with_daemon)


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Driver:
    """A minimal loop around a pool of workers."""

    def __init__(self, url: str, run: Path, side: Side = Side.A) -> None:
        self.pool = WorkerPool(url, orders(side), run, now_ms(), grace_ms=100)
        self.heard: list[WorkerAnswer] = []

    def until(self, true: Callable[[], object]) -> None:
        end_ms = now_ms() + LONG_MS
        while not true():
            assert now_ms() < end_ms, "it never came true"
            due_ms = self.pool.next_ms()
            wait_s = 1.0 if due_ms is None else max(0, min(1000, due_ms - now_ms())) / 1000
            select.select([self.pool], [], [], wait_s)
            self.heard += self.pool.poll(now_ms())

    def ready(self, *kinds: WorkerKind) -> None:
        self.until(lambda: all(self.pool.is_free(kind) for kind in kinds or ALWAYS))

    def begin(self, request: WorkerRequest, within_ms: int = LONG_MS) -> None:
        self.until(lambda: self.pool.request(request, now_ms(), within_ms))

    def ask(self, request: WorkerRequest, within_ms: int = LONG_MS) -> WorkerReply:
        self.begin(request, within_ms)
        self.until(lambda: any(answered.request is request for answered in self.heard))
        return next(answered.reply for answered in self.heard if answered.request is request)

    def condition(self, kind: WorkerKind) -> WorkerCondition:
        return next(condition for condition in self.pool.conditions() if condition.kind is kind)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[SimulatedRig]:
    one = SimulatedRig(tmp_path)
    yield one
    one.close()


@pytest.fixture
def make_driver(rig: SimulatedRig, tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    made: list[Driver] = []

    def make(side: Side = Side.A, url: str = "") -> Driver:
        run = tmp_path / side
        run.mkdir(exist_ok=True)
        made.append(Driver(url or rig.url, run, side))
        return made[-1]

    yield make
    for driver in made:
        driver.pool.close()


@pytest.fixture
def driver(make_driver: Callable[..., Driver]) -> Driver:
    return make_driver()


def test_each_worker_performs_its_own_requests(driver: Driver) -> None:
    looked = driver.ask(LookAtDisks())
    assert isinstance(looked, DisksReply)
    assert [view.holder for view in looked.views] == [None] * len(DISKS)
    assert looked.records == (bytes(512),) * 3
    claimed = driver.ask(RunClaim(KEY))
    assert isinstance(claimed, ClaimReply)
    assert (claimed.epoch, claimed.silent) == (1, 0)
    assert fence(orders(Side.A), 1, claimed.views, frozenset()) == (Fence.HOLDS, ())
    assert driver.ask(WriteRecord((bytes(512),) * 3)) == RecordReply(Written.GOOD)
    assert driver.ask(ImportPools()) == MoveReply(ok=True)
    pools = driver.ask(LookAtPools())
    assert isinstance(pools, PoolsReply)
    assert pools.view.pools is Presence.ALL
    assert driver.ask(ExportPools()) == MoveReply(ok=True)
    assert [condition.starts for condition in driver.pool.conditions()] == [1] * len(ALWAYS)


def test_an_answer_says_when_it_was_asked(driver: Driver) -> None:
    before_ms = now_ms()
    driver.ask(LookAtDisks())
    (answered,) = driver.heard
    assert before_ms <= answered.asked_ms <= answered.answered_ms <= now_ms()


def test_a_busy_worker_accepts_no_request_and_the_others_continue(rig: SimulatedRig, driver: Driver) -> None:
    driver.ready()
    rig.hang(0)
    begun = LookAtDisks()
    driver.begin(begun, 60_000)
    assert not driver.pool.request(LookAtDisks(), now_ms(), 100)
    assert driver.pool.current_request(WorkerKind.DISK_MONITOR) is begun
    assert driver.ask(WriteRecord((bytes(512),) * 3)) == RecordReply(Written.GOOD)
    assert driver.ask(LookAtPools()) == PoolsReply(PoolsView(Presence.NONE))


def test_a_hanging_disk_costs_a_look_its_time_and_nothing_else(rig: SimulatedRig, driver: Driver) -> None:
    driver.ready()
    rig.hang(0)
    looked = driver.ask(LookAtDisks(), 2_000)
    assert isinstance(looked, DisksReply)
    assert [view.answered for view in looked.views] == [False, True, True, True]
    assert looked.records == (None, bytes(512), bytes(512))
    assert driver.condition(WorkerKind.DISK_MONITOR).kills == 0


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children(kind: WorkerKind) -> list[int]:
    """The workers of this kind that this process started and that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                named = (entry / "comm").read_text().startswith(f"hagit-{kind}-")
                if named and (entry / "cmdline").read_bytes() and parent(parent(int(entry.name))) == os.getpid():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def test_a_worker_that_stops_is_killed_at_its_deadline_and_replaced(driver: Driver) -> None:
    driver.ready()
    (pid,) = children(WorkerKind.DISK_MONITOR)
    os.kill(pid, signal.SIGSTOP)
    assert driver.ask(LookAtDisks(), 200) == FailedReply("no answer in time")
    assert isinstance(driver.ask(LookAtDisks()), DisksReply), "by the next one"
    # The next one does not wait for the end of the one that was killed.
    driver.until(lambda: driver.condition(WorkerKind.DISK_MONITOR).stuck == 0)
    assert pid not in children(WorkerKind.DISK_MONITOR)
    condition = driver.condition(WorkerKind.DISK_MONITOR)
    assert (condition.starts, condition.kills) == (2, 1)


def test_a_worker_that_dies_is_replaced_and_its_request_has_failed(driver: Driver) -> None:
    driver.ready()
    (pid,) = children(WorkerKind.DISK_MONITOR)
    os.kill(pid, signal.SIGSTOP)
    request = LookAtDisks()
    driver.begin(request)
    os.kill(pid, signal.SIGKILL)
    driver.until(lambda: driver.heard)
    assert driver.heard[0].reply == FailedReply("ended by itself")
    assert isinstance(driver.ask(LookAtDisks()), DisksReply)


def test_workers_die_with_their_fork_server_and_are_started_again(driver: Driver) -> None:
    driver.ready()
    (monitor,) = children(WorkerKind.DISK_MONITOR)
    os.kill(parent(monitor), signal.SIGKILL)
    driver.until(lambda: all(condition.starts == 2 for condition in driver.pool.conditions()))
    assert isinstance(driver.ask(LookAtDisks()), DisksReply)
    assert monitor not in children(WorkerKind.DISK_MONITOR)
    assert isinstance(driver.ask(RunClaim(KEY)), ClaimReply)


def test_of_an_abandoned_claim_nothing_is_heard_and_nothing_is_done(rig: SimulatedRig, driver: Driver) -> None:
    driver.ready()
    rig.hang(0)
    driver.begin(RunClaim(KEY, command_ms=60_000))
    driver.until(lambda: any("disk0" in line for line in held(rig)))
    driver.pool.abandon(WorkerKind.CLAIM_RUNNER, now_ms())
    assert not driver.pool.is_free(WorkerKind.CLAIM_RUNNER)
    driver.ready(WorkerKind.CLAIM_RUNNER)
    rig.unhang(0)
    assert [view.registered for view in look(driver).views] == [frozenset()] * len(DISKS)
    assert not any(isinstance(answered.request, RunClaim) for answered in driver.heard)
    assert isinstance(driver.ask(RunClaim(Key(Side.A, 2))), ClaimReply)


def test_workers_run_before_other_programs_with_every_thread(driver: Driver) -> None:
    driver.ready()
    driver.ask(LookAtDisks())
    for kind in ALWAYS:
        threads = [int(task.name) for task in Path(f"/proc/{children(kind)[0]}/task").iterdir()]
        assert len(threads) == (2 if kind is WorkerKind.DISK_MONITOR else 1)
        policies = {os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK for thread in threads}
        assert policies == {os.SCHED_RR}, kind
    assert [kind for kind in ALWAYS if is_locked(children(kind)[0])] == list(ALWAYS)


def test_an_auditor_comes_when_it_is_wanted_and_is_a_program_like_any_other(driver: Driver) -> None:
    driver.ready()
    assert not children(WorkerKind.AUDITOR)
    assert not driver.pool.request(RunAudit(theirs=False), now_ms(), LONG_MS)
    driver.pool.set_wanted(WorkerKind.AUDITOR, now_ms(), wanted=True)
    assert driver.ask(RunAudit(theirs=False)) == AuditReply(())
    (pid,) = children(WorkerKind.AUDITOR)
    assert os.sched_getscheduler(pid) == os.SCHED_OTHER, "nothing waits for an audit"
    assert not is_locked(pid)


def is_locked(pid: int) -> bool:
    return "VmLck:\t       0 kB" not in Path(f"/proc/{pid}/status").read_text()


def test_killed_and_started_workers_leave_no_descriptor_open(rig: SimulatedRig, driver: Driver) -> None:
    driver.ready()
    rig.hang(0)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(1, 6):
        driver.begin(RunClaim(Key(Side.A, number), command_ms=60_000))
        driver.pool.abandon(WorkerKind.CLAIM_RUNNER, now_ms())
        driver.ready(WorkerKind.CLAIM_RUNNER)
    driver.until(lambda: driver.condition(WorkerKind.CLAIM_RUNNER).stuck == 0)
    assert len(os.listdir("/proc/self/fd")) == before
    assert driver.condition(WorkerKind.CLAIM_RUNNER).kills == 5


def look(driver: Driver) -> DisksReply:
    looked = driver.ask(LookAtDisks())
    assert isinstance(looked, DisksReply)
    return looked


def held(rig: SimulatedRig) -> list[str]:
    """What hanging disks have been asked."""
    return [str(name) for name in rig.control.state()["held"]]


def test_claims_abandoned_anywhere_leave_nothing_unsafe(rig: SimulatedRig, make_driver: Callable[..., Driver]) -> None:
    drivers = {side: make_driver(side) for side in Side}
    for driver in drivers.values():
        driver.ready()
    for disk in DISKS:
        rig.control.inject("disk-slow", disk, "2")
    chance, epoch = random.Random(4), 0
    for _ in range(40):
        epoch += 1
        side = chance.choice(list(Side))
        driver = drivers[side]
        # Fewer milliseconds than a claim of some 20 commands takes, or so many that it ends.
        patience_ms = chance.choice((*range(0, 60, 4), LONG_MS, LONG_MS))
        request = RunClaim(Key(side, epoch))
        driver.begin(request)
        end_ms = now_ms() + patience_ms
        driver.until(
            lambda driver=driver, end_ms=end_ms: now_ms() >= end_ms or driver.pool.is_free(WorkerKind.CLAIM_RUNNER)
        )
        driver.pool.abandon(WorkerKind.CLAIM_RUNNER, now_ms())
    claimed = drivers[Side.A].ask(RunClaim(Key(Side.A, epoch + 1)))
    assert isinstance(claimed, ClaimReply)
    assert fence(orders(Side.A), epoch + 1, claimed.views, frozenset()) == (Fence.HOLDS, ())
    assert drivers[Side.A].ask(ImportPools()) == MoveReply(ok=True)
    drivers[Side.B].begin(RunClaim(Key(Side.B, epoch + 2)))
    drivers[Side.B].pool.abandon(WorkerKind.CLAIM_RUNNER, now_ms())
    claimed = drivers[Side.B].ask(RunClaim(Key(Side.B, epoch + 3)))
    assert isinstance(claimed, ClaimReply)
    assert fence(orders(Side.B), epoch + 3, claimed.views, frozenset()) == (Fence.HOLDS, ())
    assert drivers[Side.B].ask(ImportPools()) == MoveReply(ok=True)
    assert rig.control.state()["broken"] == ""


def test_no_second_hand_while_one_lives(driver: Driver, make_driver: Callable[..., Driver]) -> None:
    driver.ready()
    second = make_driver()
    second.ready(WorkerKind.DISK_MONITOR, WorkerKind.DISK_HEARTBEAT, WorkerKind.POOL_MONITOR)
    assert not second.pool.is_free(WorkerKind.CLAIM_RUNNER)
    assert not second.pool.is_free(WorkerKind.POOL_MOVER)
    # Stopped, as one is that waits for a disk: nobody can say that it will do nothing more.
    holder = next(pid for pid in children(WorkerKind.CLAIM_RUNNER) if holds_a_lock(pid))
    os.kill(holder, signal.SIGSTOP)
    assert isinstance(second.ask(LookAtDisks()), DisksReply)
    assert not second.pool.is_free(WorkerKind.CLAIM_RUNNER)
    os.kill(holder, signal.SIGKILL)
    second.ready(WorkerKind.CLAIM_RUNNER)


def holds_a_lock(pid: int) -> bool:
    """Waiting for one is not holding it."""
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(words[1] == "FLOCK" and words[4] == str(pid) for words in lines)


def test_workers_die_with_the_watchdog(rig: SimulatedRig, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WATCHDOG, rig.url, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as watchdog:
        assert watchdog.stdout is not None
        pids = [int(word) for word in watchdog.stdout.readline().split()]
        assert len(pids) == 1 + len(ALWAYS)
        descriptors = [os.pidfd_open(pid) for pid in pids]
        watchdog.kill()
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], LONG_S)[0], "it has ended"
        os.close(descriptor)


WATCHDOG = """
import os, pathlib, select, sys, time
from reconciler.core.failover.reservations.key import Side
from reconciler.watchdog.worker_pool import WorkerPool
from reconciler.watchdog.worker_protocol import WorkerKind
from tests.system.shelf.rig import orders
pool = WorkerPool(sys.argv[1], orders(Side.A), pathlib.Path(sys.argv[2]), 0)
while not all(pool.is_free(kind) for kind in WorkerKind if kind.starts_with_daemon):
    select.select([pool], [], [])
    pool.poll(0)
children = lambda pid: pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
servers = children(os.getpid())
print(*servers, *(worker for server in servers for worker in children(server)), flush=True)
select.select([], [], [])
"""


def test_a_refused_import_fails_with_its_reason(rig: SimulatedRig, driver: Driver) -> None:
    driver.ask(RunClaim(KEY))
    rig.control.inject("import-refused", "a")
    assert driver.ask(ImportPools()) == MoveReply(ok=False, why="the simulated pools refuse")
    assert driver.ask(LookAtPools()) == PoolsReply(PoolsView(Presence.NONE))


def test_an_import_outlives_its_worker(rig: SimulatedRig, driver: Driver) -> None:
    driver.ask(RunClaim(KEY))
    rig.control.inject("import-hangs", "a")
    assert driver.ask(ImportPools(), 100) == MoveReply(ok=False, why="the simulated pools did not come in time")
    driver.begin(ImportPools())
    driver.pool.abandon(WorkerKind.POOL_MOVER, now_ms())
    assert driver.ask(LookAtPools()) == PoolsReply(PoolsView(Presence.SOME))
    rig.control.heal("import-hangs", "a")
    assert driver.ask(ImportPools()) == MoveReply(ok=True)


def test_what_was_asked_of_other_disks_has_failed(rig: SimulatedRig, driver: Driver) -> None:
    driver.ready()
    rig.hang(3)
    request = LookAtDisks()
    driver.begin(request, 500)
    fewer = Orders("pair", Side.A, 2, ("one", "two"), DISKS[:3], (Vdev("v", (0, 1, 2), 2),), (0, 1, 2), channels=())
    driver.pool.set_orders(fewer)
    driver.until(lambda: driver.heard)
    assert driver.heard[0].reply == FailedReply("it was asked about the disks of other orders", outdated=True)
    assert len(look(driver).views) == 3


def test_disks_of_pending_orders_are_looked_at_last_and_claimed_by_nobody(rig: SimulatedRig, driver: Driver) -> None:
    driver.ready()
    fewer = Orders("pair", Side.A, 2, ("one", "two"), DISKS[1:], (Vdev("v", (0, 1, 2), 2),), (0, 1, 2), channels=())
    pending = replace(fewer, generation=3, disks=DISKS, arbitration=(0,))
    driver.pool.set_orders(fewer, pending)
    assert len(look(driver).views) == len(DISKS)
    claimed = driver.ask(RunClaim(KEY))
    assert isinstance(claimed, ClaimReply)
    assert [view.holder for view in claimed.views] == [KEY] * len(DISKS[1:])
    assert [view.holder for view in look(driver).views] == [*[KEY] * len(DISKS[1:]), None]
    looked = driver.ask(LookAtDisks())
    assert isinstance(looked, DisksReply)
    assert len(looked.records) == 4, "the record may lie on the arbitration disks of both"
    driver.pool.set_orders(pending)
    assert [view.holder for view in look(driver).views] == [None, *[KEY] * len(DISKS[1:])]


def test_without_a_shelf_every_worker_says_so(make_driver: Callable[..., Driver]) -> None:
    driver = make_driver(url="simulated:/nowhere/shelf.sock")
    assert [view.answered for view in look(driver).views] == [False] * len(DISKS)
    assert driver.ask(WriteRecord((bytes(512),) * 3)) == RecordReply(Written.SILENT)
    assert driver.ask(LookAtPools()) == PoolsReply(PoolsView(Presence.UNKNOWN))
    claimed = driver.ask(RunClaim(KEY))
    assert isinstance(claimed, ClaimReply)
    assert claimed.silent == claimed.commands > 0


def test_workers_that_cannot_start_are_started_after_growing_delays(make_driver: Callable[..., Driver]) -> None:
    driver = make_driver(url="nonsense:")
    driver.until(lambda: driver.condition(WorkerKind.DISK_MONITOR).starts >= 3)
    due_ms = driver.pool.next_ms()
    assert due_ms is not None
    assert not driver.pool.is_free(WorkerKind.DISK_MONITOR)
    assert driver.condition(WorkerKind.DISK_MONITOR).problem == "ended by itself"
