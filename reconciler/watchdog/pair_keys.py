"""The secrets that this daemon seals with and accepts, and what the peer's frames say of its own.

Decides which secrets from the files are followed. *A pair whose controllers hear each other is never parted by a file*:
secrets of which none is in force are followed only while the peer is not heard. So a secret that somebody mistyped
stays a reason in the status, and one that mends a pair is followed at once. Knows no file (`secret_watch`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reconciler.core.failover.heartbeats.authentication import SealKey
from reconciler.core.failover.heartbeats.keyring import Keyring, spelled
from reconciler.core.failover.orders.document import orders_key
from reconciler.core.status.watchdog import ReasonStatus, SecretStatus
from reconciler.watchdog.event_loop import monotonic_ms
from reconciler.watchdog.secret_watcher import SecretFiles

#: What the peer's frames said of its secret is shown for this long.
PEER_MS: Final = 10_000


class PairKeys:
    """`ring` is in force, `problems` say what is wrong with the files.

    `listeners` is called after another ring is in force; `peer_heard` says whether the peer is heard.
    """

    def __init__(self, ring: Keyring, problems: tuple[str, ...] = (), *, stopgap: bool = False) -> None:
        self.ring = ring
        self.listeners: list[Callable[[], None]] = []
        self.peer_heard: Callable[[], bool] = lambda: False
        self.problems = problems
        self._stopgap = stopgap
        self._not_followed: Keyring | None = None
        self._peer, self._peer_accepts, self._peer_seen_ms = 0, 0, -PEER_MS

    @property
    def documents(self) -> tuple[SealKey, ...]:
        """The keys of sealed files, one for each accepted secret."""
        return tuple(orders_key(secret) for secret in self.ring.accepted)

    def files_changed(self, sight: SecretFiles) -> None:
        """The files changed."""
        self.problems, self._not_followed = sight.problems, sight.ring
        self.follow_if_safe()

    def follow_if_safe(self) -> None:
        """Follow what the files hold, as soon as that parts nobody."""
        ring = self._not_followed
        if ring is None or not (self._stopgap or ring.shares(self.ring) or not self.peer_heard()):
            return
        self._not_followed, self._stopgap = None, False
        if ring != self.ring:
            self.ring = ring
            for tell in self.listeners:
                tell()

    @property
    def differ_from_files(self) -> bool:
        """Whether the files hold secrets that are not followed: a daemon that started now would part the pair."""
        return self._not_followed is not None or self._stopgap

    def verified(self, at: int, accepts: int) -> None:
        """A frame or record of the peer was sealed with `ring.accepted[at]`; it accepts the secret `accepts`, too."""
        self._peer, self._peer_accepts, self._peer_seen_ms = self.ring.prints[at], accepts, monotonic_ms()

    def status(self) -> SecretStatus:
        """For the status: fingerprints only."""
        current, *others = (spelled(number) for number in self.ring.prints)
        lately = monotonic_ms() - self._peer_seen_ms < PEER_MS
        return SecretStatus(
            current="" if self._stopgap else current,
            accepted=tuple(others),
            peer=spelled(self._peer) if lately else "",
            peer_accepts=spelled(self._peer_accepts) if lately else "",
        )

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """What is wrong with the files."""
        found = [
            ReasonStatus(
                code="SECRET_UNFIT",
                text="a secret of the pair cannot be used"
                + (": this controller seals with a random one until then" if self._stopgap else ""),
                evidence=problem,
                remedy="put the pair's secret there, for root alone (chmod 600); it is followed at once",
            )
            for problem in self.problems
        ]
        if self._not_followed is not None:
            found.append(
                ReasonStatus(
                    code="SECRET_NOT_FOLLOWED",
                    text="the files hold none of the secrets in force, and following them would part the pair",
                    evidence=f"in the file {spelled(self._not_followed.prints[0])}, "
                    f"in force {spelled(self.ring.prints[0])}",
                    remedy="put the secret back, and change it with `hagit secret new`",
                )
            )
        return tuple(found)
