"""A daemon is replaced while it runs: the old one goes on until the new one is ready, then one message moves it all."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.system.control_protocol import RequestKind
from reconciler.watchdog.event_loop import EventLoop
from reconciler.watchdog.successor_handle import HandedOver, SuccessorHandle, words_of
from tests.wait import until
from tests.watchdog.pair import ORDERS, PATIENT, ROOT, Pair

Make = Callable[..., Pair]


def copied(pair: Pair) -> Path:
    """Both controllers run a copy of hagit, in which a test can install another release."""
    place = pair.root / "release"
    shutil.copytree(ROOT / "reconciler", place / "reconciler", ignore=shutil.ignore_patterns("__pycache__"))
    for head in pair.both():
        head.environment |= {"PYTHONPATH": str(place), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return place / "reconciler"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


def failure(pair: Pair) -> str:
    """Wait until the daemon of a says why no other could take over."""
    return pair.until(
        lambda: next(
            (one["evidence"] for one in pair.a.published()["reasons"] if one["code"] == "SUCCESSOR_FAILED"), ""
        )
    )


def test_both_daemons_are_replaced_and_nobody_notices(make_pair: Make) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    # The timeline is written by a thread of its own.
    pair.until(lambda: pair.a.went()[-1:] == ["active"])
    went = pair.a.went(), pair.b.went()
    with pair.client() as client:
        client.until_answered()
        for head in (pair.a, pair.b, pair.a, pair.b):
            number = (head.state / "watchdog/incarnation").read_bytes()
            before, since = head.pid, head.published()["since"]
            assert head.ask(RequestKind.REPLACE).accepted
            head.until_replaced()
            assert head.pid != before
            # The same life goes on: neither its number nor its phase began anew.
            assert (head.state / "watchdog/incarnation").read_bytes() == number
            assert head.published()["since"] == since
            pair.until_ready()
            client.until_answered()
        assert client.silence_ms < PATIENT.silence_ms
    assert (pair.a.went(), pair.b.went()) == went
    assert pair.a.serves and not pair.b.serves
    # The one that was started has ended, and what it had goes on: its lock, its socket, and its deadman.
    assert pair.a.daemon is not None and pair.a.daemon.wait(10) == 0
    assert f"(pid {pair.a.pid})" in (pair.a.run / "watchdog.lock").read_text()
    assert pair.a.ask(RequestKind.STATUS).accepted
    pair.a.signal(signal.SIGKILL)
    assert pair.a.until_reset() == "the deadman was not fed"
    pair.until_phases(b="active")


def test_a_release_with_another_state_goes_on_from_what_every_daemon_remembers(make_pair: Make) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    release = copied(pair)
    pair.settle()
    edit(release / "core/failover/machine/state_document.py", "STATE_FORMAT: Final = 1\n", "STATE_FORMAT: Final = 2\n")
    with pair.client() as client:
        client.until_answered()
        for head in pair.both():
            assert head.ask(RequestKind.REPLACE).accepted
            head.until_replaced()
            pair.until_phases(a="active", b="standby")
            pair.until_ready()
        client.until_answered()
        assert client.silence_ms < PATIENT.silence_ms
    assert "BOOTING -> ACTIVE" in pair.a.logs() and "BOOTING -> STANDBY" in pair.b.logs()
    assert pair.a.went()[-2:] == ["active", "active"] and set(pair.b.went()) == {"standby"}


def syntax(pair: Pair, release: Path) -> None:
    edit(release / "watchdog/daemon.py", "class Daemon:\n", "class Daemon\n")


def node_file(pair: Pair, release: Path) -> None:
    pair.a.node.write_text(pair.a.node.read_text() + "what = is this\n")


def orders(pair: Pair, release: Path) -> None:
    empty = "    if file.content is None:\n"
    edit(release / "watchdog/published_files.py", empty, empty.replace("is None", "is not None"))


def crash(pair: Pair, release: Path) -> None:
    edit(release / "watchdog/successor.py", "        self._ready = True\n", "        os.abort()\n")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(syntax, "SyntaxError"), (node_file, "node.toml"), (orders, "has not published orders"), (crash, "it ended")],
    ids=["syntax", "node file", "orders", "crash"],
)
def test_a_successor_that_fails_changes_nothing_and_is_told(
    make_pair: Make, spoil: Callable[[Pair, Path], None], told: str
) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    release = copied(pair)
    pair.settle()
    spoil(pair, release)
    went = pair.a.went()
    assert pair.a.ask(RequestKind.REPLACE).accepted
    assert told in failure(pair)
    pair.until_ready()
    assert (pair.a.published()["pid"], pair.a.went()) == (pair.a.pid, went)
    assert pair.a.published()["verdict"] == "HA active"
    assert pair.a.serves
    # Spoiled no more, the next one takes over, and the reason is gone.
    shutil.rmtree(release)
    shutil.copytree(ROOT / "reconciler", release)
    pair.a.node.write_text(pair.a.node.read_text().replace("what = is this\n", ""))
    assert pair.a.ask(RequestKind.REPLACE).accepted
    pair.a.until_replaced()
    pair.until_ready()
    assert "SUCCESSOR_FAILED" not in pair.a.reasons()


def test_pools_that_are_being_imported_are_waited_for(make_pair: Make) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    pair.shelf.inject("import-hangs", "b")
    assert pair.a.ask(RequestKind.SWITCHOVER).accepted
    pair.until_phases(b="importing")
    before = pair.b.pid
    assert pair.b.ask(RequestKind.REPLACE).accepted
    # A successor of the other one, begun later, comes to its end: this one was ready long before.
    pair.until(lambda: len(children(before)) > 1)
    assert pair.a.ask(RequestKind.REPLACE).accepted
    pair.a.until_replaced()
    assert pair.b.published()["pid"] == before and pair.b.phase == "importing"
    pair.shelf.heal("import-hangs", "b")
    pair.b.until_replaced()
    pair.until_phases(a="standby", b="active")
    assert pair.b.went() == ["standby", "claiming", "importing", "active"]


def test_a_successor_that_waits_ends_with_the_daemon_that_it_waits_for(make_pair: Make) -> None:
    """Long before the deadman: nothing but its predecessor could have made it the daemon."""
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    pair.shelf.inject("import-hangs", "b")
    assert pair.a.ask(RequestKind.SWITCHOVER).accepted
    pair.until_phases(b="importing")
    before, holder = pair.b.pid, pair.b.room.holder.pid
    assert pair.b.ask(RequestKind.REPLACE).accepted
    pair.until(lambda: len(children(before)) > 1)
    pair.b.signal(signal.SIGKILL)
    pair.until(lambda: children(holder) == [])
    assert pair.b.on
    assert pair.b.published()["pid"] == before
    assert pair.b.until_reset() == "the deadman was not fed"


def children(pid: int) -> list[int]:
    """Daemons in the network namespace of a process."""
    here = Path(f"/proc/{pid}/ns/net").readlink()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"\0watchdog\0" in (path / "cmdline").read_bytes() and (path / "ns/net").readlink() == here:
                found.append(int(path.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("late_ms", [0, 30, 400])
def test_power_that_fails_about_the_hand_over_ends_in_a_takeover(make_pair: Make, late_ms: int) -> None:
    pair = make_pair()
    pair.settle()
    before = pair.a.pid
    assert pair.a.ask(RequestKind.REPLACE).accepted
    pair.until(lambda: len(children(before)) > 1)
    if late_ms:
        pair.a.until_replaced()
        threading.Event().wait(late_ms / 1_000)
    pair.a.pull_the_plug()
    pair.until_phases(b="active")
    pair.until(lambda: pair.b.serves)


def test_a_successor_that_dies_with_what_it_was_given_leaves_it_to_the_deadman(make_pair: Make) -> None:
    pair = make_pair()
    release = copied(pair)
    pair.settle()
    edit(release / "watchdog/successor.py", "        received = self._predecessor.receive()\n", "        os.abort()\n")
    assert pair.a.ask(RequestKind.REPLACE).accepted
    assert pair.a.until_reset() == "the deadman was not fed"
    pair.until_phases(b="active")
    pair.until(lambda: pair.b.serves)


# The side of the one that runs, alone ---------------------------------------------------------------------------------

HELLO = """
import os, socket, sys, time
if os.fork():
    os._exit(0)
s = socket.socket(fileno=int(sys.argv[-1]))
socket.send_fds(s, [b"hello %d" % os.getpid()], [os.pidfd_open(os.getpid())])
"""


def succession(
    program: str, activity: Callable[[], str], **limits: int
) -> tuple[EventLoop, SuccessorHandle, list[int]]:
    """One that starts a program of ours in place of a daemon; it hands over the first descriptor of the list."""
    loop, handles = EventLoop(), list(os.pipe())
    made = SuccessorHandle(
        loop, [sys.executable, "-c", program], {}, activity, lambda: (os.dup(handles[0]), handles[1]), **limits
    )
    made.on_failure = lambda why: loop.stop()

    def turn() -> None:
        loop.after(5, turn)
        made.hand_over_if_ready()

    turn()
    return loop, made, handles


def test_a_successor_that_hangs_is_killed() -> None:
    loop, made, _ = succession(HELLO + "s.send(b'waits for ever'); time.sleep(1000)", lambda: "", ready_ms=1_500)
    assert made.start() == ""
    loop.run()
    assert "not ready after" in made.failure and "for ever" in made.failure
    until(lambda: gone(made.pid))


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


def test_nothing_is_handed_over_while_something_is_in_progress() -> None:
    loop, made, _ = succession(HELLO + "s.send(b'ready'); time.sleep(1000)", lambda: "import", resting_ms=300)
    assert made.start() == ""
    loop.run()
    assert "not at rest: import" in made.failure


def test_what_is_handed_over_is_one_message_with_all_files() -> None:
    answer = "s.send(b'ready'); d, f, *_ = socket.recv_fds(s, 99, 8); os.write(f[1], d + b' %d' % len(f))"
    loop, made, handles = succession(HELLO + answer, lambda: "")
    assert made.start() == ""
    with pytest.raises(HandedOver):
        loop.run()
    made.close()
    assert os.read(handles[0], 99) == b"commit 2"


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import sys; sys.exit('hagit: no \x1b[31m secret')", "it ended; hagit: no ?[31m secret"),
        (HELLO + "s.send(b'nonsense'); time.sleep(1000)", "another language"),
        ("import os; os.write(2, b'x' * 100_000)", "it ended; " + "x" * 400),
    ],
)
def test_last_words_are_bounded_and_printable(program: str, told: str) -> None:
    loop, made, _ = succession(program, lambda: "")
    assert made.start() == ""
    loop.run()
    assert made.failure.startswith(told) or told in made.failure
    assert made.failure.isprintable()
    assert len(made.failure) < 500


def test_a_program_that_is_not_there_is_a_failure_at_once() -> None:
    made = SuccessorHandle(EventLoop(), ["/nonexistent"], {}, lambda: "", tuple)
    assert "cannot be started" in made.start()
    assert made.reasons()[0].code == "SUCCESSOR_FAILED"


def test_words_are_the_last_ones() -> None:
    assert words_of(b"a\n  b\tc\xff") == "a b c\ufffd"
