"""`hagit rehearse` and what `hagit validate` refuses of orders, through the command line."""

import json
from pathlib import Path

import pytest

from reconciler.cli.application import run

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
MINIMAL = ["-C", str(EXAMPLES / "minimal-pair")]
ONE_WAY = """\
apiVersion: hagit/v1
kind: Pair
metadata: {name: shelf}
spec:
  a: {hostname: shelf-a}
  b: {hostname: shelf-b}
---
apiVersion: hagit/v1
kind: Interface
metadata: {name: storage0}
spec:
  a: {match: {name: eth0}, address: 10.0.0.11/24}
  b: {match: {name: eth0}, address: 10.0.0.12/24}
  virtual: {address: 10.0.0.10/24, vhid: 20}
  critical: true
  failoverGroup: 1
"""
FAILOVER = """\
---
apiVersion: hagit/v1
kind: Failover
metadata: {name: failover}
spec:
  arbitration: [wwn-0x1001, wwn-0x1002, wwn-0x1003]
---
apiVersion: hagit/v1
kind: Pool
metadata: {name: tank}
spec:
  vdevs:
    - {type: raidz1, disks: [wwn-0x1001, wwn-0x1002, wwn-0x1003]}
"""
Captured = pytest.CaptureFixture[str]


def test_a_timeline_for_this_pair(capsys: Captured) -> None:
    assert run(["rehearse", "power-loss", "a", *MINIMAL]) == 0
    out = capsys.readouterr().out
    assert out.startswith("What if: power-loss a\nBefore: a serves.\n")
    assert "storage0 1" in out, "the channels are this pair's"
    assert "After: b serves." in out
    assert "Assumed" not in out, "the disks are this pair's, too"


def test_a_document(capsys: Captured) -> None:
    assert run(["rehearse", "switchover", "--for", "30s", "--runs", "3", "-o", "json", *MINIMAL]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["before"], told["after"]) == ("hagit.rehearsal/1", "a", "b")
    assert len(told["longest_ms"]) == 3


def test_a_broken_invariant_is_the_exit_status(capsys: Captured) -> None:
    assert run(["rehearse", "shelf-forgets", *MINIMAL]) == 1
    assert "BROKEN: the reservation is never free" in capsys.readouterr().out


def test_a_script(tmp_path: Path, capsys: Captured) -> None:
    script = tmp_path / "drill.txt"
    script.write_text("# a drill\nat 2s cable-pull interlink\nat 5s power-loss a\nuntil 30s\n")
    assert run(["rehearse", "--script", str(script), *MINIMAL]) == 0
    out = capsys.readouterr().out
    assert "    2.000  event   cable-pull interlink\n" in out
    assert "    5.000  event   power-loss a\n" in out
    script.write_text("at 2s cable-pull interlink\nat some time\n")
    assert run(["rehearse", "--script", str(script), *MINIMAL]) == 1
    assert f"{script}:2: `at some time` makes no sense" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "what should happen?"),
        (["teapot"], "teapot is not a fault"),
        (["cable-pull", "eth9"], "eth9 is no channel of this pair; it has storage0, interlink"),
        (["switchover", "--for", "soon"], "--for soon"),
        (["switchover", "--runs", "0"], "--runs is 1 to"),
        (["--script", "/no/such/file"], "there is no such script"),
    ],
)
def test_questions_that_make_no_sense(words: list[str], says: str, capsys: Captured) -> None:
    assert run(["rehearse", *words, *MINIMAL]) == 1
    shown = capsys.readouterr()
    assert says in shown.err
    assert not shown.out


def test_every_fault_is_listed(capsys: Captured) -> None:
    assert run(["rehearse", "--faults"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 30
    assert any(line.startswith("cable-pull CHANNEL ") for line in lines)
    assert run(["rehearse", "--faults", "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["faults"]) == len(lines)


def test_exploring_says_how_much_was_tried(capsys: Captured) -> None:
    assert run(["rehearse", "--explore", "--states", "300", "-o", "json", *MINIMAL]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["scenes"]) >= 5
    assert all(scene["states"] > 250 and scene["broken"] is None for scene in told["scenes"])
    assert told["assumed"] == []
    assert told["reduced"][0].startswith("2 top-level vdevs of 5 disks are 2 of 4: a mirror and a mirror")


def test_exploring_says_what_was_made_small_for_it(capsys: Captured) -> None:
    assert run(["rehearse", "--explore", "--states", "300", "-C", str(EXAMPLES / "everything")]) == 0
    out = capsys.readouterr().out
    assert "7 top-level vdevs of 22 disks are 2 of 3: a disk alone and a mirror; 3 of 3 arbitration disks\n" in out
    assert "one tick is 750 ms: network silence 3000 ms in 4, disk heartbeat stale after 1500 ms in 2" in out
    assert "stopped at 300" in out


def test_orders_that_are_unsafe_are_refused_and_not_explored(tmp_path: Path, capsys: Captured) -> None:
    text = (EXAMPLES / "minimal-pair" / "pair.yaml").read_text()
    (tmp_path / "pair.yaml").write_text(text + "  heartbeat: {diskStale: 900ms}\n")
    assert run(["rehearse", "--explore", "-C", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "pair.yaml:45:26: failover cannot be safe: a healthy disk record may look old for" in shown.err
    assert not shown.out


def test_validate_refuses_a_single_channel_with_the_arithmetic(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "pair.yaml").write_text(ONE_WAY + FAILOVER)
    assert run(["validate", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "pair.yaml:10:18: failover cannot be safe: 1 heartbeat channel(s) on the network: one pulled cable" in err


def test_without_a_failover_nothing_moves_and_what_is_missing_is_assumed(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "pair.yaml").write_text(ONE_WAY)
    assert run(["validate", str(tmp_path)]) == 0
    assert "warning: pair.yaml:14:12: there are virtual addresses and no Failover" in capsys.readouterr().err
    assert run(["rehearse", "power-loss", "a", "-C", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "Assumed: the disks: no Pool describes them; two mirrors and a log device stand in" in out
    assert "Assumed: heartbeat channels: storage0, interlink" in out


@pytest.mark.parametrize("name", ["minimal-pair", "everything", "bonds-vlans-jumbo", "nfs-and-iscsi"])
def test_the_examples_can_be_rehearsed(name: str, capsys: Captured) -> None:
    assert run(["validate", str(EXAMPLES / name)]) == 0
    assert run(["rehearse", "power-loss", "a", "-C", str(EXAMPLES / name)]) == 0
    assert "Every invariant held." in capsys.readouterr().out
