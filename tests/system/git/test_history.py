"""What is new on a branch, and which changes of it are refused."""

from collections.abc import Callable

import pytest

from reconciler.errors import HistoryRefused, SourceError
from reconciler.system.git.history import advance, describe, signed_part
from reconciler.system.git.mirror import Mirror
from tests.system.repositories import Work


@pytest.fixture
def fetch(mirror: Mirror, work: Work) -> Callable[[], str]:
    return lambda: mirror.fetch([work.remote()], "main", 10).commit


def test_the_first_adoption_is_the_whole_history(mirror: Mirror, work: Work, fetch: Callable[[], str]) -> None:
    commits = [work.commit(a__yaml=str(number)) for number in range(3)]
    first = advance(mirror, None, fetch())
    assert [one.id for one in first.commits] == commits and first.first and not first.behind


def test_nothing_new(mirror: Mirror, work: Work, fetch: Callable[[], str]) -> None:
    commit = work.commit(a__yaml="1")
    fetch()
    assert advance(mirror, commit, commit).commits == ()


def test_all_new_commits_oldest_first_with_both_sides_of_a_merge(
    mirror: Mirror, work: Work, fetch: Callable[[], str]
) -> None:
    base = work.commit(a__yaml="1")
    accepted = work.commit(a__yaml="2")
    work.git("checkout", "-q", "-b", "side", base)
    side = work.commit("side", b__yaml="1")
    work.git("checkout", "-q", "main")
    straight = work.commit(a__yaml="3")
    work.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    merge = work.git("rev-parse", "HEAD")
    new = [one.id for one in advance(mirror, accepted, fetch()).commits]
    assert set(new) == {side, straight, merge} and new[-1] == merge


def test_a_rewound_branch_is_refused_unless_a_fallback_only_lags(
    mirror: Mirror, work: Work, fetch: Callable[[], str]
) -> None:
    old = work.commit(a__yaml="1")
    accepted = work.commit(a__yaml="2")
    fetch()
    work.git("reset", "-q", "--hard", old)
    head = fetch()
    with pytest.raises(HistoryRefused) as caught:
        advance(mirror, accepted, head)
    assert "was rewound" in str(caught.value) and old in str(caught.value) and accepted in str(caught.value)
    assert f"hagit accept-history {old}" in caught.value.remedy
    lagging = advance(mirror, accepted, head, fallback=True)
    assert lagging.behind and lagging.commits == ()


def test_a_force_push_is_refused_also_from_a_fallback(mirror: Mirror, work: Work, fetch: Callable[[], str]) -> None:
    accepted = work.commit(a__yaml="1")
    fetch()
    work.git("commit", "-q", "--amend", "-m", "another")
    head = fetch()
    for fallback in (False, True):
        with pytest.raises(HistoryRefused) as caught:
            advance(mirror, accepted, head, fallback=fallback)
        assert "was replaced" in str(caught.value) and head in str(caught.value) and accepted in str(caught.value)
    assert advance(mirror, head, head).commits == (), "accepting the head is the way out"


def test_an_unrelated_history_is_refused(mirror: Mirror, work: Work, fetch: Callable[[], str]) -> None:
    accepted = work.commit(a__yaml="1")
    fetch()
    work.git("checkout", "-q", "--orphan", "fresh")
    work.commit(a__yaml="2")
    work.git("branch", "-M", "fresh", "main")
    with pytest.raises(HistoryRefused, match="was replaced"):
        advance(mirror, accepted, fetch())


def test_a_commit_that_is_not_here(mirror: Mirror, work: Work, fetch: Callable[[], str]) -> None:
    head = work.commit(a__yaml="1")
    fetch()
    for unknown in ("0" * 40, "0123abc", "main", "zz"):
        with pytest.raises(SourceError, match="there is no commit"):
            advance(mirror, unknown, head)


def test_a_commit_is_described_as_it_is_and_cut(mirror: Mirror, work: Work, fetch: Callable[[], str]) -> None:
    parent = work.commit(a__yaml="1")
    commit = work.commit("raise \x1b[31mMTU\n\nbecause", a__yaml="2")
    fetch()
    info = describe(mirror, commit[:9])
    assert (info.id, info.short, info.parents) == (commit, commit[:7], (parent,))
    assert (info.author, info.email, info.summary) == ("Ada", "ada@example.org", "raise \x1b[31mMTU")
    assert info.time_s == int(work.git("log", "-1", "--format=%ct"))


def test_an_unsigned_commit_has_no_signature(mirror: Mirror, work: Work, fetch: Callable[[], str]) -> None:
    commit = work.commit(a__yaml="1")
    fetch()
    part = signed_part(mirror, commit)
    assert part.signature is None and part.commit == commit
