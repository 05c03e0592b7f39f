"""An enrolled pair in a repository of many pairs: both controllers mean the same commit, whatever others commit."""

from __future__ import annotations

from pathlib import Path

from tests.agent.enrolled_pair import EnrolledPair, enrolled_pair
from tests.controller import PAIR, interface
from tests.wait import until

PLAIN = interface("e1", "10.1.0.1/24")


def commit(pair: EnrolledPair, **files: str) -> str:
    """Commit files of the fleet, `__` for a slash."""
    for name, text in files.items():
        pair.a.work.write(f"{name.replace('__', '/')}.yaml", text.encode())
    pair.a.work.git("add", "-A")
    pair.a.work.git("commit", "-q", "-m", "change")
    return str(pair.a.work.git("rev-parse", "HEAD"))


def test_both_agree_on_a_revision_below_the_tip(tmp_path: Path) -> None:
    with enrolled_pair(tmp_path, watched=False) as pair:
        for controller in (pair.a, pair.b):
            lines = controller.node.read_text()
            controller.node.write_text(lines.replace("[source]\n", "[source]\npath = 'pairs/north'\n"))
        pair.a.work.git("rm", "-q", "-r", ".")
        first = commit(pair, pairs__north__pair=PAIR, pairs__north__network=PLAIN, pairs__south__pair=PAIR)
        commit(pair, pairs__south__network="kind: [")
        pair.start()
        pair.until_both(first)
        # Each names the commit with the defect, whatever stands above it: so the other one knows what is meant.
        bad = commit(pair, pairs__north__network="kind: [")
        commit(pair, pairs__south__network="kind: Something")
        until(lambda: pair.state("a").refused == pair.state("b").refused == bad, pair.told)
        good = commit(pair, pairs__north__network=PLAIN.replace("10.1.0.1", "10.1.0.2"))
        commit(pair, pairs__south__network="kind: Others")
        pair.until_both(good)
        plan = pair.b.hagit("plan")
        assert f"Plan for the pair at main@{good[:7]}: no changes" in plan.out, plan
