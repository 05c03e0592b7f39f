"""Which commit a line came with: the same answer as `git blame`, asked at once or commit by commit."""

import random
import subprocess
from itertools import pairwise

import pytest

from reconciler.errors import SourceError
from reconciler.system.git import lines as lines_module
from reconciler.system.git.lines import Authorship
from reconciler.system.git.mirror import Mirror
from tests.system.repositories import Work


def according_to_git(work: Work, commit: str, path: str = "a.yaml") -> tuple[str, ...]:
    porcelain = work.git("blame", "--line-porcelain", "--no-progress", commit, "--", path).splitlines()
    heads = [porcelain[0], *(after for line, after in pairwise(porcelain) if line[:1] == "\t")]
    return tuple(head.split()[0] for head in heads)


def test_line_by_line(mirror: Mirror, work: Work) -> None:
    first = work.commit(a__yaml="one\ntwo\nthree\n")
    second = work.commit(a__yaml="one\nTWO\nthree\nfour\n")
    mirror.fetch([work.remote()], "main", 10)
    assert Authorship(mirror).of(second, "a.yaml") == (first, second, first, second)


def test_what_is_not_there(mirror: Mirror, work: Work) -> None:
    commit = work.commit(a__yaml="one\n", empty__yaml="")
    mirror.fetch([work.remote()], "main", 10)
    with pytest.raises(SourceError, match=r"there is no file b\.yaml"):
        Authorship(mirror).of(commit, "b.yaml")
    assert Authorship(mirror).of(commit, "empty.yaml") == ()


@pytest.mark.parametrize("seed", range(4))
def test_as_git_says_at_once_and_commit_by_commit(mirror: Mirror, work: Work, seed: int) -> None:
    """Every line ever written is different, so there is only one right answer."""
    chance = random.Random(seed)
    lines = [f"line {number}" for number in range(30)]
    commits = []
    for number in range(25):
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(lines))
            match chance.randrange(3):
                case 0:
                    lines[at] = f"changed {number} {chance.random()}"
                case 1:
                    lines.insert(at, f"inserted {number} {chance.random()}")
                case _:
                    del lines[at]
        commits.append(work.commit(a__yaml="\n".join(lines) + "\n", other__yaml=str(number)))
    mirror.fetch([work.remote()], "main", 10)
    step_by_step = Authorship(mirror)
    for commit in commits:
        expected = according_to_git(work, commit)
        assert step_by_step.of(commit, "a.yaml") == expected
    assert Authorship(mirror).of(commits[-1], "a.yaml") == according_to_git(work, commits[-1])
    assert step_by_step.of(commits[3], "a.yaml") == according_to_git(work, commits[3]), "backwards too"


def test_through_a_merge_of_what_came_beside(mirror: Mirror, work: Work) -> None:
    base = work.commit(a__yaml="".join(f"{number}\n" for number in range(20)))
    work.git("checkout", "-q", "-b", "side")
    side = work.commit(a__yaml="side\n" + "".join(f"{number}\n" for number in range(20)))
    work.git("checkout", "-q", "main")
    known = work.commit(a__yaml="".join(f"{number}\n" for number in range(20)) + "main\n")
    work.git("merge", "-q", "-m", "merge", "side")
    head = mirror.fetch([work.remote()], "main", 10).commit
    answers = Authorship(mirror)
    assert answers.of(known, "a.yaml") == (base,) * 20 + (known,)
    assert answers.of(head, "a.yaml") == (side,) + (base,) * 20 + (known,) == according_to_git(work, head)


def test_a_line_that_was_dropped_here_and_comes_back_from_beside(mirror: Mirror, work: Work) -> None:
    root = work.commit(a__yaml="old\nkept\n")
    work.commit(a__yaml="old\nkept\nmore\n")
    work.git("checkout", "-q", "-b", "side")
    work.commit(b__yaml="unrelated\n")
    work.git("checkout", "-q", "main")
    known = work.commit(a__yaml="kept\nmore\n")
    work.git("merge", "-q", "--no-commit", "--no-ff", "side")
    head = work.commit("both", a__yaml="old\nkept\nmore\n")
    mirror.fetch([work.remote()], "main", 10)
    answers = Authorship(mirror)
    answers.of(known, "a.yaml")
    assert answers.of(head, "a.yaml")[0] == root == according_to_git(work, head)[0]


def test_a_long_history_is_cut_and_still_names_a_commit(mirror: Mirror, work: Work) -> None:
    count = lines_module.REVISIONS_MAX + 20
    stream = ["blob\nmark :1\ndata 5\nzero\n\n"]
    for number in range(count):
        content = (
            "zero\n" + "".join(f"line {n}\n" for n in range(number + 1)) if number < 3 else f"zero\nline {number}\n"
        )
        stream.append(
            f"commit refs/heads/main\ncommitter A <a@b> {1_000_000 + number} +0000\ndata 1\nx\n"
            f"M 100644 inline a.yaml\ndata {len(content)}\n{content}\n"
        )
    subprocess.run(["git", "fast-import", "--quiet"], input="".join(stream), text=True, cwd=work.path, check=True)
    head = mirror.fetch([work.remote()], "main", 10).commit
    zero, last = Authorship(mirror).of(head, "a.yaml")
    assert last == head
    boundary = work.git("rev-parse", f"main~{lines_module.REVISIONS_MAX - 1}")
    assert zero == boundary != work.git("rev-list", "--max-parents=0", "main")
