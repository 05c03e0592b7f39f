"""The state of all pools together, as the watchdog sees it, from the state of each. Pure: words in, `Pools` out.

    nothing known of any pool, none is being moved         NONE
    suspended, or a write that does not end                HUNG
    all there, mounted, none is being moved                ALL
    whatever else                                          SOME

Decides also when a change is believed: `/proc/spl/kstat/zfs/POOL/state` has been seen to say something else for up to
78 ms, so what has changed must be seen to last. Only that an import or export has ended is believed at once: the
process that moves the pools holds a lock until then, and a pool that is there has a state, whichever it says. A pool
that serves and whose disks are opened again is here, however long that takes; if disks hang, so do its writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.core.failover.machine.events import Presence

#: A change is believed when every sample says it for this time.
STEADY_MS: Final = 120
#: Between two samples.
SAMPLE_MS: Final = 20
#: A transaction group is closed for this time and not on the disks: the pool does not answer.
HUNG_MS: Final = 30_000
#: States in which a pool serves (module/zfs/spa_misc.c, spa_state_to_name).
SERVING: Final = ("ONLINE", "DEGRADED")
#: All disks of the pool are closed and opened again, as `zpool scrub`, `clear`, `online` and `reopen` do (vdev_reopen,
#: module/zfs/vdev.c), until the slowest disk is open. Where nothing is mounted yet, the pool is being imported.
REOPENED: Final = "OFFLINE"
#: Its writes fail or do not end, and it waits for a person (zpoolprops(7), failmode=wait).
SUSPENDED: Final = "SUSPENDED"


class PoolState(StrEnum):
    """How one pool stands: ABSENT, COMING (or going, or neither mounted nor serving), HERE, HUNG."""

    ABSENT = "absent"
    COMING = "coming"
    HERE = "here"
    HUNG = "hung"


def state_of_pool(state: str | None, *, ready: bool, stuck: bool, unmade: bool = False) -> PoolState:
    """One pool. `ready`: its mounts were made; `stuck`: what it writes has not ended for HUNG_MS.

    `unmade`: the pools were taken here, and this one has not been made yet, or is being made: as here as it can be.
    """
    if state is None:
        return PoolState.HERE if unmade else PoolState.ABSENT
    if state == SUSPENDED or stuck:
        return PoolState.HUNG
    if unmade and state not in SERVING:
        return PoolState.HERE
    return PoolState.HERE if ready and state in (*SERVING, REOPENED) else PoolState.COMING


def all_pools(standings: Sequence[PoolState], *, moving: bool) -> Presence:
    """All pools of the orders together. `moving`: an import or export is running."""
    kinds = set(standings)
    if PoolState.HUNG in kinds:
        return Presence.HUNG
    if moving or len(kinds) > 1 or PoolState.COMING in kinds:
        return Presence.SOME
    return Presence.ALL if kinds == {PoolState.HERE} else Presence.NONE


@dataclass(frozen=True, slots=True)
class SettledState:
    """What was accepted last, what is seen now, and since when."""

    accepted: Presence = Presence.UNKNOWN
    seen: Presence = Presence.UNKNOWN
    since_ms: int = 0

    def with_sample(self, sample: Presence, now_ms: int) -> SettledState:
        """The belief after one more sample."""
        since_ms = self.since_ms if sample is self.seen else now_ms
        at_once = sample is self.accepted or (
            self.accepted is Presence.SOME and sample in (Presence.ALL, Presence.NONE)
        )
        accepted = sample if at_once or now_ms - since_ms >= STEADY_MS else self.accepted
        return SettledState(accepted, sample, since_ms)

    @property
    def settled(self) -> bool:
        """Whether what is seen is what is accepted."""
        return self.seen is self.accepted


@dataclass(frozen=True, slots=True)
class WriteProgress:
    """Whether a pool's writes end: the oldest transaction group that is to be written, and since when that one."""

    txg: int | None = None
    since_ms: int = 0

    def with_sample(self, txg: int | None, now_ms: int) -> WriteProgress:
        """The progress after one more look."""
        return self if txg == self.txg else WriteProgress(txg, now_ms)

    def stuck(self, now_ms: int) -> bool:
        """Whether the same one has not ended for HUNG_MS."""
        return self.txg is not None and now_ms - self.since_ms >= HUNG_MS


@dataclass(frozen=True, slots=True)
class CommittedTxg:
    """How far a pool that is imported here has come: its newest transaction group that is on the disks.

    It is remembered, because the kernel shows the last hundred groups only: an idle pool pushes the last group that
    wrote anything out of them within minutes. `instance`: see `kstat.pool_instance`.
    """

    instance: str = ""
    txg: int = 0

    def with_sample(self, instance: str, durable: int) -> CommittedTxg:
        """The same after one more look; another pool of that name begins anew, and one that is not here has nothing."""
        if not instance:
            return CommittedTxg()
        return CommittedTxg(instance, max(durable, self.txg if instance == self.instance else 0))
