"""Where new commits come from: the remotes in their order and, when none of them can be reached, the peer.

Commits of the peer are received as those of a remote are: into a quarantine, and judged by the caller before anything
is kept (`agent/source/selector`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Protocol

from reconciler.agent.source.trust_policy import TrustPolicy
from reconciler.errors import HagitError, HostKeyRefused, RemoteUnreachable
from reconciler.system.git.mirror import Fetched, FetchedSource, Mirror, RemoteFailure
from reconciler.system.git.received_pack import received_pack
from reconciler.system.git.remote import Remote

#: What messages call the peer where they name remotes.
PEER: Final = Remote("", "the other controller")


class Relay(Protocol):
    """Asks the peer for its accepted commit: its full id, and a pack of what `have` (a full id or empty) lacks."""

    def __call__(self, have: str) -> tuple[str, bytes] | None:
        """None when there is no peer, or none that has a commit. Raises HagitError when it does not answer."""
        ...


@contextmanager
def received_source(
    mirror: Mirror,
    policy: TrustPolicy,
    head: str,
    refused: Collection[str],
    relay: Relay | None,
    timeout_s: float,
) -> Iterator[FetchedSource]:
    """What the remotes give or, when none can be reached, the peer. `head`: the commit that was accepted last.

    Raises SourceError: why the remotes give nothing, also when the peer gives nothing either.
    """
    with ExitStack() as stack:
        try:
            received = stack.enter_context(mirror.receive(policy.remotes, policy.branch, timeout_s, refused))
        except (RemoteUnreachable, HostKeyRefused) as failure:
            if relay is None:
                raise
            try:
                given = relay(head)
            except HagitError:
                given = None
            if given is None:
                raise
            tip, pack = given
            failed = (RemoteFailure(policy.remotes[0], failure),)
            known = tip == head or tip in refused
            received = (
                FetchedSource(Fetched(tip, PEER, failed, fallback=True), mirror, mirror)
                if known
                else stack.enter_context(received_pack(mirror, pack, tip, PEER, failed=failed))
            )
        yield received
