"""What outlives the daemon: memory, number, moves, resets; and the clerk who writes without anybody waiting."""

import json
from collections.abc import Iterator
from pathlib import Path
from select import select

import pytest

from reconciler.core.failover.orders import Limits
from reconciler.core.failover.phase import Phase
from reconciler.core.failover.state import Memory
from reconciler.watchdog.clerk import Clerk
from reconciler.watchdog.ledger import Ledger
from tests.waiting import until

MEMORY = Memory(Phase.ACTIVE, 7, quiet=True)


@pytest.fixture
def clerk(tmp_path: Path) -> Iterator[Clerk]:
    made = Clerk(tmp_path / "orders.json", 1_000)
    yield made
    made.close(10)


def ledger(path: Path, clerk: Clerk) -> Ledger:
    assert clerk.flush(10)
    return Ledger(path / "state", path / "run", clerk)


def test_the_number_rises_with_every_start_even_when_its_file_was_lost(tmp_path: Path, clerk: Clerk) -> None:
    numbers = [ledger(tmp_path, clerk).incarnation for _ in range(3)]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    path = tmp_path / "state" / "watchdog" / "incarnation"
    path.write_text('{"incarnation": 99999999999}')
    assert ledger(tmp_path, clerk).incarnation == 100_000_000_000
    path.write_text("damaged")
    damaged = ledger(tmp_path, clerk)
    assert damaged.incarnation >= numbers[0] and damaged.complaints


def test_memory_outlives_the_daemon_but_no_boot(tmp_path: Path, clerk: Clerk) -> None:
    first = ledger(tmp_path, clerk)
    assert first.remembered is None
    first.remember(MEMORY)
    assert ledger(tmp_path, clerk).remembered == MEMORY
    path = tmp_path / "run" / "memory"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"boot": "another"}))
    assert ledger(tmp_path, clerk).remembered is None
    for damage in ({"phase": "nowhere"}, {"epoch": -1}, {"epoch": 1 << 50}, {"quiet": 1}, {"epoch": "7"}):
        path.write_text(json.dumps(document | damage))
        damaged = ledger(tmp_path, clerk)
        assert damaged.remembered is None and damaged.complaints
    first.remember(None)
    assert not path.exists()


def test_moves_and_resets_are_counted_within_the_windows(tmp_path: Path, clerk: Clerk) -> None:
    first = ledger(tmp_path, clerk)
    first.moved()
    first.moved()
    first.resets_itself("the reservation is lost", 10)
    assert ledger(tmp_path, clerk).recent(Limits()) == (1, 2)
    state = tmp_path / "state" / "watchdog"
    entries = json.loads((state / "resets.json").read_text())
    assert entries[0]["why"] == "the reservation is lost"
    entries[0]["at"] -= 10_000
    (state / "resets.json").write_text(json.dumps(entries))
    # A wall clock that was set back puts moves into the future: they count.
    (state / "moves.json").write_text(json.dumps([entries[0]["at"] + 1e6]))
    assert ledger(tmp_path, clerk).recent(Limits()) == (0, 1)


def test_a_machine_that_died_while_the_deadman_was_fed_is_known_after_its_boot(tmp_path: Path, clerk: Clerk) -> None:
    first = ledger(tmp_path, clerk)
    first.note_fed(True)
    assert not ledger(tmp_path, clerk).died_with_machine
    life = tmp_path / "state" / "watchdog" / "life.json"
    life.write_text(json.dumps(json.loads(life.read_text()) | {"boot": "another"}))
    assert ledger(tmp_path, clerk).died_with_machine
    assert not ledger(tmp_path, clerk).died_with_machine


def test_the_clerk_hands_over_what_a_watched_file_became(tmp_path: Path, clerk: Clerk) -> None:
    path = tmp_path / "orders.json"

    def news() -> bytes | None:
        clerk.look()
        readable, _, _ = select([clerk], [], [], 10)
        assert readable
        sight = clerk.news()
        assert sight is not None
        return sight.content if not sight.problem else sight.problem.encode()

    assert news() is None
    path.write_bytes(b"one")
    assert news() == b"one"
    path.write_bytes(b"x" * 2_000)
    assert b"larger than 1000 bytes" in (news() or b"")
    path.unlink()
    assert news() is None


def test_what_cannot_be_written_is_told_and_ends_nothing(tmp_path: Path, clerk: Clerk) -> None:
    clerk.write(tmp_path / "missing" / "file", b"x")
    until(lambda: clerk.problem)
    clerk.write(tmp_path / "file", b"x")
    assert clerk.flush(10)
    assert (tmp_path / "file").read_bytes() == b"x" and not clerk.problem


def test_a_log_keeps_its_newest_lines(tmp_path: Path, clerk: Clerk) -> None:
    path = tmp_path / "log"
    for number in range(40):
        clerk.append(path, b"%04d %s\n" % (number, b"x" * 300), 20)
    assert clerk.flush(10)
    lines = path.read_bytes().splitlines()
    assert 10 <= len(lines) <= 20 and lines[-1].startswith(b"0039")


def test_what_the_peer_reads_outlives_the_daemon(tmp_path: Path, clerk: Clerk) -> None:
    first = ledger(tmp_path, clerk)
    assert first.peer_reads == 1
    first.note_peer_reads(2)
    assert ledger(tmp_path, clerk).peer_reads == 2
    for damage in ("damaged", "{}", '{"reads": 0}', '{"reads": true}', '{"reads": "2"}', "[2]"):
        (tmp_path / "state" / "watchdog" / "peer.json").write_text(damage)
        assert ledger(tmp_path, clerk).peer_reads == 1, damage
