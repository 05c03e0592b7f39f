import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.core.alerts.alert import AlertKind, AlertStatus, Severity
from reconciler.core.alerts.backlog import SETTLED_COUNT_MAX, TargetMode
from reconciler.errors import StateError
from reconciler.system.alerts.outbox import APPENDED_COUNT_MAX, Outbox

TARGETS = {"am": TargetMode.STATE, "hook": TargetMode.EVENTS}
RESOLVED = AlertStatus.RESOLVED


@pytest.fixture
def box(tmp_path):
    outbox = Outbox(tmp_path / "outbox")
    outbox.configure(TARGETS)
    yield outbox
    outbox.close()


def again(box: Outbox, tmp_path: Path) -> Outbox:
    box.close()
    return Outbox(tmp_path / "outbox")


def heard(box: Outbox, target: str = "hook") -> list[tuple[str, AlertStatus]]:
    """Take everything, in order."""
    result = []
    while entry := box.next_event(target):
        result.append((entry.alert.subject, entry.alert.status))
        box.mark_delivered(target, [entry])
    return result


def test_a_restart_forgets_nothing(box, tmp_path, drift):
    alerts = [drift(1), drift(2), drift(1, RESOLVED), drift(3)]
    assert all(box.put(alert) for alert in alerts)
    box = again(box, tmp_path)
    assert box.damaged == 0
    assert [entry.alert for entry in box.state_alerts("am")] == [drift(2), drift(1, RESOLVED), drift(3)]
    assert box.pending_counts() == {"am": 3, "hook": 4}
    assert heard(box) == [(alert.subject, alert.status) for alert in alerts]
    box = again(box, tmp_path)
    assert heard(box) == []
    box.close()


def test_the_same_transition_is_accepted_once(box, tmp_path, drift):
    assert box.put(drift())
    assert not box.put(drift())
    box = again(box, tmp_path)
    assert not box.put(drift())
    assert box.put(drift(status=RESOLVED))
    assert not box.put(drift()), "what began then is over"
    assert not box.put(drift(status=RESOLVED))
    box.mark_delivered("am", box.state_alerts("am"))
    assert len(heard(box)) == 2
    box = again(box, tmp_path)
    assert not box.put(drift(status=RESOLVED)), "remembered after everybody heard it"
    assert box.put(drift(since_s=1_800_000_000.0)), "it began again"
    box.close()


def test_a_clock_that_was_set_back_hides_nothing(box, drift):
    box.put(drift())
    box.put(drift(status=RESOLVED))
    assert box.put(drift(since_s=1.0))


def test_what_stands_began_once(box, tmp_path, drift):
    """An agent that was killed before it could remember what it told finds it anew, later."""
    box.put(drift(since_s=1.0))
    assert not box.put(drift(since_s=2.0))
    box = again(box, tmp_path)
    assert not box.put(drift(since_s=3.0))
    assert box.put(drift(status=RESOLVED, since_s=3.0))
    assert [(entry.alert.status, entry.alert.since_s) for entry in box.state_alerts("am")] == [(RESOLVED, 1.0)]
    assert heard(box) == [(drift().subject, AlertStatus.FIRING), (drift().subject, RESOLVED)]
    box.close()


def test_alertmanager_needs_the_last_state_only_and_webhooks_hear_both(box, drift):
    box.put(drift())
    box.put(drift(status=RESOLVED))
    assert [entry.alert.status for entry in box.state_alerts("am")] == [RESOLVED]
    assert [status for _, status in heard(box)] == [AlertStatus.FIRING, RESOLVED]
    box.mark_delivered("am", box.state_alerts("am"))
    assert box.state_alerts("am") == ()
    assert box.pending_counts() == {"am": 0, "hook": 0}


def test_a_storm_that_grows_is_one_event_with_new_words(box, drift):
    box.put(drift(summary="57 more"))
    assert box.put(drift(summary="58 more"))
    assert [entry.alert.summary for entry in box.state_alerts("am")] == ["58 more"]
    assert len(heard(box)) == 1


def test_the_severity_stays_as_it_was(box, drift):
    box.put(drift(severity=Severity.CRITICAL))
    box.put(drift(status=RESOLVED, severity=Severity.INFO))
    assert [entry.alert.severity for entry in box.state_alerts("am")] == [Severity.CRITICAL]


def test_a_lasting_condition_is_sent_to_alertmanager_until_it_ends(box, tmp_path, drift):
    box.put(drift())
    box.mark_delivered("am", box.state_alerts("am"))
    assert box.pending_counts()["am"] == 0
    assert len(box.state_alerts("am")) == 1
    box = again(box, tmp_path)
    assert [alert.subject for alert in box.firing()] == [drift().subject]
    box.close()


def test_an_overtaken_alert_is_not_confused_with_its_successor(box, drift):
    box.put(drift())
    sent = box.state_alerts("am")
    box.put(drift(status=RESOLVED))
    box.mark_delivered("am", sent)
    assert [entry.alert.status for entry in box.state_alerts("am")] == [RESOLVED]
    sent = box.state_alerts("am")
    box.put(drift(since_s=1_800_000_000.0))
    box.mark_delivered("am", sent)
    assert [entry.alert.since_s for entry in box.state_alerts("am")] == [1_800_000_000.0]


def test_a_target_that_leaves_is_forgotten_and_a_new_one_hears_what_stands(box, tmp_path, drift):
    box.put(drift(1))
    box.put(drift(2))
    box.put(drift(2, RESOLVED))
    box.configure({"am2": TargetMode.STATE, "hook2": TargetMode.EVENTS})
    assert [entry.alert.subject for entry in box.state_alerts("am2")] == [drift(1).subject]
    assert box.next_event("hook") is None
    assert box.next_event("hook2") is None
    box = again(box, tmp_path)
    assert box.pending_counts() == {"am2": 1, "hook2": 0}
    box.close()


def test_dropped_alerts_become_a_count_that_is_sent_first(tmp_path, drift):
    box = Outbox(tmp_path / "outbox", entry_count_max=10)
    box.configure({"hook": TargetMode.EVENTS})
    for number in range(25):
        box.put(drift(number))
    box.close()
    box = Outbox(tmp_path / "outbox", entry_count_max=10)
    assert box.dropped() == {"hook": 15}
    first = box.next_event("hook")
    assert first.alert.kind is AlertKind.ALERTS_COLLAPSED
    assert "15 older alerts" in first.alert.summary
    assert len(heard(box)) == 11
    assert box.dropped() == {}
    box.close()


def test_memory_of_what_is_over_is_bounded(box, drift):
    for number in range(SETTLED_COUNT_MAX + 5):
        box.put(drift(number))
        box.put(drift(number, RESOLVED))
        box.mark_delivered("am", box.state_alerts("am"))
    assert box.put(drift(0)), "forgotten"
    assert not box.put(drift(SETTLED_COUNT_MAX))


def test_the_log_does_not_grow_for_ever(box, tmp_path, drift):
    sizes = []
    loops = APPENDED_COUNT_MAX // 2 + 50
    for number in range(loops):
        box.put(drift(1, RESOLVED, since_s=float(number - 1)))
        box.put(drift(1, since_s=float(number)))
        box.mark_delivered("am", box.state_alerts("am"))
        heard(box)
        sizes.append((tmp_path / "outbox" / "outbox.log").stat().st_size)
    assert max(sizes) > 2 * sizes[-1], "it was rewritten"
    assert box.firing() == (drift(1, since_s=float(loops - 1)),)


def test_a_second_agent_is_refused(box, tmp_path):
    with pytest.raises(StateError, match="locked by agent"):
        Outbox(tmp_path / "outbox")


def test_damaged_lines_are_passed_over(box, tmp_path, drift):
    for number in (1, 2, 3):
        box.put(drift(number))
    box.close()
    log = tmp_path / "outbox" / "outbox.log"
    lines = log.read_bytes().splitlines(keepends=True)
    lines[-2] = lines[-2].replace(b"eth1", b"eth9")
    log.write_bytes(b"".join(lines) + b"\xff\x00 torn")
    box = Outbox(tmp_path / "outbox")
    assert box.damaged == 2
    assert [subject for subject, _ in heard(box)] == [drift(1).subject, drift(3).subject]
    box.close()


def test_other_users_cannot_read_it(box, tmp_path):
    assert (tmp_path / "outbox").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "outbox" / "outbox.log").stat().st_mode & 0o777 == 0o600


PUTS = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from conftest import drift
from reconciler.system.alerts.outbox import Outbox
from reconciler.core.alerts.backlog import TargetMode
"""


def child(code: str, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    argv = [*prefix, sys.executable, "-c", PUTS + code, str(Path(__file__).parent), *arguments]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_accepted_alerts_survive_sigkill(tmp_path, count, drift):
    code = """
box = Outbox(Path(sys.argv[2]))
box.configure({"hook": TargetMode.EVENTS})
for number in range(100_000):
    box.put(drift(number))
    print(number, flush=True)
"""
    with child(code, str(tmp_path / "outbox")) as process:
        for _ in range(count):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
    box = Outbox(tmp_path / "outbox")
    subjects = [subject for subject, _ in heard(box)]
    assert len(subjects) > acknowledged
    assert subjects == [drift(number).subject for number in range(len(subjects))]
    assert box.damaged <= 1
    box.close()


def test_killed_at_every_write_it_ends_with_all_it_acknowledged(tmp_path):
    # The kernel cuts a write at RLIMIT_FSIZE and kills with SIGXFSZ at the next: a torn line at every possible place.
    code = """
import os, resource, shutil, signal
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
places = 0
for limit in range(0, 9000, 53):
    directory = Path(sys.argv[2]) / str(limit)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        for start in (0, 5):
            box = Outbox(directory)
            box.configure({"hook": TargetMode.EVENTS})
            for number in range(start, start + 5):
                box.put(drift(number))
                os.write(writer, b"%d\\n" % number)
            box.close()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        acknowledged = stream.read().split()
    ended = os.waitpid(pid, 0)[1]
    places += os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGXFSZ
    box = Outbox(directory)
    kept = []
    while entry := box.next_event("hook"):
        kept.append(entry.alert)
        box.mark_delivered("hook", [entry])
    assert kept == [drift(n) for n in range(len(kept))], limit
    assert len(kept) >= len(acknowledged), limit
    box.close()
    shutil.rmtree(directory)
assert places > 50, places
print("all kept", places)
"""
    with child(code, str(tmp_path)) as process:
        assert process.communicate(timeout=120)[0].startswith(b"all kept")
    assert process.returncode == 0


def test_a_full_disk_loses_no_stored_alert_and_recovers(tmp_path):
    code = """
import os
from reconciler.errors import StateError
root = Path(sys.argv[2])
assert os.system(f"mount -t tmpfs -o size=256k tmpfs {root}") == 0
box = Outbox(root / "outbox")
box.configure({"am": TargetMode.STATE, "hook": TargetMode.EVENTS})
for number in range(5):
    box.put(drift(number))
stuffing = root / "stuffing"
with stuffing.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
refused = 0
for number in range(5, 60):
    try:
        box.put(drift(number))
    except StateError as error:
        refused += 1
        complaint = str(error)
assert refused >= 40, refused
assert "No space left" in complaint and "outbox.log" in complaint and "free space" in complaint, complaint
assert len(box.firing()) == 60, "delivered from memory"
box.close()

box = Outbox(root / "outbox", rewrite_interval_s=0.0)   # still full: what was stored is there
kept = [alert.subject for alert in box.firing()]
assert kept == [drift(n).subject for n in range(len(kept))] and len(kept) == 60 - refused, kept
try:
    for number in range(60, 100):
        box.put(drift(number))
except StateError:
    pass
else:
    raise AssertionError("not full")
stuffing.unlink()
taken = len(box.firing())
box.put(drift(200))
box.close()
box = Outbox(root / "outbox")
assert len(box.firing()) == taken + 1, "the snapshot stored what had been in memory only"
box.close()
print("mended")
"""
    space = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--map-root-user")
    (tmp_path / "full").mkdir()
    with child(code, str(tmp_path / "full"), prefix=space) as process:
        assert process.communicate(timeout=60)[0] == b"mended\n"
    assert process.returncode == 0


def test_a_directory_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot make this directory") as caught:
        Outbox(tmp_path / "file" / "outbox")
    assert caught.value.where == str(tmp_path / "file" / "outbox")
