"""What every server of shares keeps of its port (`core/shares/ports.ShareServer`), whichever protocol it speaks.

A rig makes the server and the shares; the tests of this host run the simulated server, and the tests of each protocol
run the same checks in the lab's machine:

    for check in CHECKS:
        check(rig)

Every check begins and ends with a server that is down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.core.shares.ports import ServerView, Serving, ShareServer
from reconciler.core.shares.shares import Protocol, Shares

#: A call may last so much longer than its deadline.
OVER_S: Final = 1.0
DEADLINE_S: Final = 30.0
LOOK_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Rig:
    """A server under test. Its pools are imported and mounted, and the state dataset, too.

    `make`: another adapter for the same server, as another process would have one. `one`, `two`: shares of the protocol
    that can be served; `one` is the first of `two`. `broken`: `two` and a share whose dataset does not exist.
    """

    protocol: Protocol
    make: Callable[[], ShareServer]
    one: Shares
    two: Shares
    broken: Shares

    def names(self, shares: Shares) -> tuple[str, ...]:
        """The names of the shares of this protocol."""
        return tuple(name for protocol, name in shares.names() if protocol is self.protocol)


def within(deadline_s: float, call: Callable[[float], ServerView]) -> ServerView:
    """The view of a call that keeps its deadline."""
    begun_s = time.monotonic()
    view = call(deadline_s)
    took_s = time.monotonic() - begun_s
    assert took_s < deadline_s + OVER_S, f"{took_s:.1f} s with a deadline of {deadline_s} s"
    assert all(one.text and (one.remedy or one.served or one.changed) for one in view.problems), view.problems
    assert view.clients_count >= len(view.clients)
    return view


def look(rig: Rig, server: ShareServer, shares: Shares) -> ServerView:
    return within(LOOK_S, lambda deadline_s: server.look(shares, deadline_s))


def start(server: ShareServer, shares: Shares) -> ServerView:
    return within(DEADLINE_S, lambda deadline_s: server.start(shares, deadline_s))


def stop(server: ShareServer) -> ServerView:
    view = within(DEADLINE_S, server.stop)
    assert view.serving is Serving.DOWN and view.served == (), view
    return view


def starts_and_stops(rig: Rig) -> None:
    server = rig.make()
    assert look(rig, server, rig.one).serving is Serving.DOWN
    view = start(server, rig.one)
    assert (view.serving, view.served, view.problems) == (Serving.UP, rig.names(rig.one), ()), view
    assert view.steps_ms and all(ms >= 0 for _, ms in view.steps_ms)
    view = look(rig, server, rig.one)
    assert (view.serving, view.served, view.problems) == (Serving.UP, rig.names(rig.one), ()), view
    stop(server)
    assert look(rig, server, rig.one).serving is Serving.DOWN


def starts_again_without_a_change(rig: Rig) -> None:
    server = rig.make()
    start(server, rig.one)
    assert start(server, rig.one).served == rig.names(rig.one)
    assert start(server, rig.two).served == rig.names(rig.two)
    view = start(server, rig.one)
    assert (view.serving, view.served) == (Serving.UP, rig.names(rig.one)), view
    stop(server)


def stops_without_a_start(rig: Rig) -> None:
    stop(rig.make())
    stop(rig.make())


def another_process_sees_and_stops_it(rig: Rig) -> None:
    start(rig.make(), rig.two)
    assert look(rig, rig.make(), rig.two).served == rig.names(rig.two)
    stop(rig.make())


def a_broken_share_holds_up_no_other(rig: Rig) -> None:
    server = rig.make()
    for view in (start(server, rig.broken), look(rig, server, rig.broken)):
        assert view.serving is Serving.UP, view
        assert view.served == rig.names(rig.two), view
        (name,) = set(rig.names(rig.broken)) - set(rig.names(rig.two))
        assert {one.name for one in view.problems if not one.served} == {name}, view.problems
    # A look compares with the shares that it is asked about.
    assert not look(rig, server, rig.two).problems
    stop(server)


def a_look_at_other_shares_names_the_missing_ones(rig: Rig) -> None:
    server = rig.make()
    start(server, rig.one)
    (missing,) = set(rig.names(rig.two)) - set(rig.names(rig.one))
    view = look(rig, server, rig.two)
    assert missing not in view.served and missing in {one.name for one in view.problems}, view
    stop(server)


CHECKS: Final = (
    starts_and_stops,
    starts_again_without_a_change,
    stops_without_a_start,
    another_process_sees_and_stops_it,
    a_broken_share_holds_up_no_other,
    a_look_at_other_shares_names_the_missing_ones,
)
