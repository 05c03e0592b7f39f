"""The secrets with which this daemon seals and which it accepts, and the secrets of the peer as its frames show them.

Decides which secrets from the files to use. *A file never separates controllers that hear each other*: a new set of
secrets that shares none with the present set is used only while the peer is not heard. So a mistyped secret is only a
reason in the status, and a secret that repairs the pair is used immediately. Leaves the files to
`system/secret_watcher`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reconciler.core.failover.heartbeats.authentication import SealKey
from reconciler.core.failover.heartbeats.keyring import Keyring, fingerprint_text
from reconciler.core.failover.orders.document import orders_key
from reconciler.core.status.watchdog import ReasonStatus, SecretStatus
from reconciler.system.secret_watcher import SecretFiles
from reconciler.watchdog.event_loop import monotonic_ms

#: The status shows the secret of a frame of the peer for this long.
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
        """The keys that open sealed files, one for each accepted secret."""
        return tuple(orders_key(secret) for secret in self.ring.accepted)

    def files_changed(self, found: SecretFiles) -> None:
        """Take the content of the changed files."""
        self.problems, self._not_followed = found.problems, found.ring
        self.follow_if_safe()

    def follow_if_safe(self) -> None:
        """Use the secrets of the files if that does not separate this controller from the peer."""
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
        """Whether the files hold other secrets than those in force: a new daemon would not understand the peer."""
        return self._not_followed is not None or self._stopgap

    def verified(self, at: int, accepts: int) -> None:
        """Note that the peer seals with `ring.accepted[at]` and also accepts the secret with the print `accepts`."""
        self._peer, self._peer_accepts, self._peer_seen_ms = self.ring.prints[at], accepts, monotonic_ms()

    def status(self) -> SecretStatus:
        """The row of the status, with fingerprints only."""
        current, *others = (fingerprint_text(number) for number in self.ring.prints)
        lately = monotonic_ms() - self._peer_seen_ms < PEER_MS
        return SecretStatus(
            current="" if self._stopgap else current,
            accepted=tuple(others),
            peer=fingerprint_text(self._peer) if lately else "",
            peer_accepts=fingerprint_text(self._peer_accepts) if lately else "",
        )

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """Problems of the files."""
        found = [
            ReasonStatus(
                code="SECRET_UNFIT",
                text="a secret of the pair cannot be used"
                + (": this controller seals with a random one until then" if self._stopgap else ""),
                evidence=problem,
                remedy="put the pair's secret there, for root alone (chmod 600); it is used immediately",
            )
            for problem in self.problems
        ]
        if self._not_followed is not None:
            found.append(
                ReasonStatus(
                    code="SECRET_NOT_FOLLOWED",
                    text="the files hold none of the secrets in force, and following them would part the pair",
                    evidence=f"in the file {fingerprint_text(self._not_followed.prints[0])}, "
                    f"in force {fingerprint_text(self.ring.prints[0])}",
                    remedy="put the secret back, and change it with `hagit secret new`",
                )
            )
        return tuple(found)
