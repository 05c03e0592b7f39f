"""Clients go on: after a silent death, after a release, and when the addresses come back within seconds."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

from reconciler.core.shares.shares import Shares
from reconciler.system.shares.clients.connections import NAME
from reconciler.system.shares.clients.guard import ClientGuard, GuardReport
from reconciler.system.shares.clients.port_filter import Dropped, FilterState, PortFilter
from reconciler.system.shares.clients.socket_diagnosis import SocketDiagnosis
from tests.system.shares.clients.segment import (
    HOST4,
    HOST6,
    POINTS,
    SHARES,
    AnsweringServer,
    ClientSegment,
    GuardedService,
    PersistentClient,
    Sniffer,
)
from tests.wait import until

HOSTS = (HOST4, HOST6)


def dropped(service: GuardedService) -> Dropped:
    state = service.controller.inside(PortFilter().state)
    assert isinstance(state, FilterState)
    return state.dropped


@contextmanager
def clients_of(segment: ClientSegment) -> Iterator[list[PersistentClient]]:
    """Four clients that got answers."""
    clients = [PersistentClient(segment.client, host, 800 + number) for number in range(2) for host in HOSTS]
    try:
        until(lambda: all(len(client.answered_s) > 10 for client in clients), lambda: [one.losses for one in clients])
        yield clients
    finally:
        for client in clients:
            client.stop()


def recorded(service: GuardedService, clients: list[PersistentClient]) -> GuardReport:
    return until(
        lambda: (report := service.call(service.guard.record)).remembered == len(clients) and report,
        lambda: [client.losses for client in clients],
    )


def test_clients_go_on_at_once_after_a_silent_death(segment: ClientSegment, state: Path) -> None:
    a, b = (GuardedService(controller, ClientGuard(state)) for controller in (segment.a, segment.b))
    assert a.take_over().findings == ()
    with clients_of(segment) as clients:
        assert recorded(a, clients).findings == ()
        segment.cut("a")
        cut_s = time.monotonic()
        # By themselves clients repeat their requests 3.0 s after the cut, and next after 6.2 s.
        threading.Event().wait(3.3)
        report = b.take_over()
        opened_s = time.monotonic()
        assert (report.findings, report.remembered, report.tickled) == ((), 4, 4)
        assert opened_s - cut_s < 5.5
        until(lambda: all(client.answered_after(cut_s + 3) for client in clients))
        waited_s = [(client.answered_after(cut_s + 3) or 0) - opened_s for client in clients]
        assert max(waited_s) < 0.5, waited_s
        assert {tuple(client.losses) for client in clients} == {("Connection reset by peer",)}
    assert dropped(b) is Dropped.NONE
    b.release()


def test_a_release_says_nothing_to_clients(segment: ClientSegment, state: Path) -> None:
    a = GuardedService(segment.a, ClientGuard(state))
    a.take_over()
    with clients_of(segment) as clients, closing(Sniffer(segment.client)) as sniffer:
        sniffer.words()
        report = a.release()
        assert (report.findings, report.destroyed) == ((), 4)
        assert [name for name, _ in report.steps_ms] == ["requests", "answers", "sockets"]
        assert set(sniffer.words()) <= {"A", "PA"}
        assert {tuple(client.losses) for client in clients} == {()}
        assert dropped(a) is Dropped.ALL
        with segment.a.inside(SocketDiagnosis) as sockets:
            assert segment.a.inside(lambda: sockets.destroy(POINTS)) == 0


def test_without_the_guard_a_release_is_heard(segment: ClientSegment) -> None:
    segment.a.place()
    server = AnsweringServer(segment.a)
    with clients_of(segment), closing(Sniffer(segment.client)) as sniffer:
        server.close()
        heard: set[str] = set()
        until(lambda: (heard.update(sniffer.words()), heard & {"R", "RA", "FA"})[1])


def test_there_and_back_within_ten_seconds(segment: ClientSegment, state: Path) -> None:
    a, b = (GuardedService(controller, ClientGuard(state)) for controller in (segment.a, segment.b))
    a.take_over()
    with clients_of(segment) as clients:
        began_s = time.monotonic()
        for old, new in ((a, b), (b, a), (a, b)):
            recorded(old, clients)
            counts = [len(client.losses) for client in clients]
            assert old.release().findings == ()
            assert new.take_over().findings == ()
            until(lambda: all(client.answered_after(time.monotonic() - 0.05) for client in clients))
            assert [len(client.losses) for client in clients] == [count + 1 for count in counts]
        assert time.monotonic() - began_s < 10
        gaps_s = [max(later - earlier for earlier, later in pairwise(client.answered_s)) for client in clients]
        assert max(gaps_s) < 2, gaps_s
        assert {loss for client in clients for loss in client.losses} == {"Connection reset by peer"}
    b.release()


def test_a_takeover_removes_what_an_earlier_life_left(segment: ClientSegment, state: Path) -> None:
    a = GuardedService(segment.a, ClientGuard(state))
    a.take_over()
    with clients_of(segment):
        # The process that served was killed, and the next one begins.
        report = a.call(a.guard.before_takeover)
        assert report.destroyed >= 4
        assert dropped(a) is Dropped.ALL
        assert a.call(a.guard.before_takeover).destroyed == 0
        for _ in range(2):
            assert a.call(a.guard.after_serving).findings == ()
            assert dropped(a) is Dropped.NONE
    a.release()


def test_without_the_program_all_else_is_done(segment: ClientSegment, state: Path) -> None:
    guards = (ClientGuard(state, "no-such-nft"), ClientGuard(state, "no-such-nft"))
    a, b = (GuardedService(*pair) for pair in zip((segment.a, segment.b), guards, strict=True))
    assert [finding.code for finding in a.call(guards[0].before_takeover).findings] == ["port-filter-no-program"]
    assert a.take_over().findings == ()
    with clients_of(segment) as clients:
        recorded(a, clients)
        report = a.release()
        assert report.destroyed >= 4
        assert {finding.code for finding in report.findings} == {"port-filter-no-program"}
        assert len(report.findings) == 1
        report = b.take_over()
        assert (report.findings, report.remembered) == ((), 4)
        moment_s = time.monotonic()
        until(lambda: all(client.answered_after(moment_s) for client in clients))
    b.release()
    assert [finding.code for finding in segment.a.inside(lambda: guards[0].audit(SHARES))] == ["port-filter-no-program"]


def test_a_hostile_list_opens_the_ports_and_tickles_no_client(segment: ClientSegment, state: Path) -> None:
    a = GuardedService(segment.a, ClientGuard(state))
    (state / NAME).write_text('{"format":"hagit.connections/1","connections":[{"address":"10.0.0.10","port":2049}]}')
    with closing(Sniffer(segment.client)) as sniffer:
        report = a.take_over()
        assert [finding.code for finding in report.findings] == ["clients-unread"]
        assert (report.remembered, report.tickled) == (0, 0)
        assert dropped(a) is Dropped.NONE
        assert sniffer.words() == []
    with clients_of(segment) as clients:
        # The active controller replaces it.
        recorded(a, clients)
        assert segment.a.inside(lambda: ClientGuard(state).after_serving(SHARES)).remembered == 4
    a.release()


def test_the_audit_finds_this_kernel_able_and_changes_nothing(segment: ClientSegment, state: Path) -> None:
    a = GuardedService(segment.a, ClientGuard(state))
    assert segment.a.inside(lambda: a.guard.audit(SHARES)) == ()
    assert dropped(a) is Dropped.NONE


def test_a_record_during_a_move_keeps_the_list_of_before(segment: ClientSegment, state: Path) -> None:
    a, b = (GuardedService(controller, ClientGuard(state)) for controller in (segment.a, segment.b))
    a.take_over()
    with clients_of(segment) as clients:
        recorded(a, clients)
        before = (state / NAME).read_bytes()
        a.release()
        # Another process looks, as the watchdog's monitor does.
        assert a.controller.inside(lambda: ClientGuard(state).record(SHARES)).remembered == 0
        b.call(b.guard.before_takeover)
        assert b.controller.inside(lambda: ClientGuard(state).record(SHARES)).remembered == 0
        assert (state / NAME).read_bytes() == before
        report = b.take_over()
        assert (report.remembered, report.tickled) == (4, 4)
        recorded(b, clients)
    b.release()


def test_a_tickle_does_not_disturb_a_live_connection(segment: ClientSegment, state: Path) -> None:
    a = GuardedService(segment.a, ClientGuard(state))
    a.take_over()
    with clients_of(segment) as clients:
        recorded(a, clients)
        # A daemon that starts on the active controller does not know whether an earlier one did it.
        report = a.call(a.guard.after_serving)
        assert (report.findings, report.tickled) == ((), 4)
        moment_s = time.monotonic()
        until(lambda: all(client.answered_after(moment_s) for client in clients))
        assert [client.losses for client in clients] == [[]] * 4
    a.release()


def test_without_shares_nothing_is_done(segment: ClientSegment, state: Path) -> None:
    guard = ClientGuard(state)
    for step in (guard.before_takeover, guard.after_serving, guard.before_release):
        report = segment.a.inside(lambda step=step: step(Shares("pair")))  # type: ignore[misc]
        assert (report.findings, report.destroyed, report.tickled) == ((), 0, 0)
    assert segment.a.inside(lambda: guard.audit(Shares("pair"))) == ()
