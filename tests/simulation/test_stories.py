"""Every story plays and must end as its file says, word for word. --rewrite-goldens rewrites the timelines."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.simulation.timed.faults import table
from reconciler.simulation.timed.stories import play, read, written

#: Every reason that leads from one phase to another.
MOVES = (
    Code.NOTHING_HERE, Code.RESUMED, Code.FOREIGN_IMPORT, Code.FORCED, Code.PEER_DEAD, Code.HANDED, Code.PEER_SILENT,
    Code.NO_OWNER, Code.PEER_ABSENT, Code.PEER_UNABLE, Code.CLAIM_VERIFIED, Code.CLAIM_WAITED, Code.CLAIM_PROVEN,
    Code.CLAIM_LOST,
    Code.CLAIM_HUNG, Code.IMPORTED, Code.IMPORT_REFUSED, Code.IMPORT_HUNG, Code.FENCED, Code.UNPROVEN, Code.POOLS_GONE,
    Code.ASKED, Code.DISKS_LOST, Code.POOLS_HUNG, Code.GROUPS_DOWN, Code.ISOLATED, Code.TAKEN, Code.RESUMED_SERVICE,
    Code.LEFT, Code.RELEASE_HUNG,
)  # fmt: skip
STORIES = sorted((Path(__file__).parent.parent / "stories").glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, golden: Callable[[Path, str], None]) -> None:
    story = read(path.read_text())
    telling = play(story)
    assert not telling.failures, "\n".join((*telling.lines, *telling.failures))
    assert story.expects, "a story has to expect something"
    assert story.head[0].startswith("# "), "a story begins with what it tells"
    golden(path, written(story, telling))


def test_the_page_lists_every_fault(request: pytest.FixtureRequest) -> None:
    path = STORIES[0].parent / "README.md"
    words, _, _ = path.read_text().partition("| fault | models |")
    if request.config.getoption("--rewrite-goldens"):
        path.write_text(words + table())
    assert path.read_text() == words + table()


def test_every_decision_of_the_table_has_a_story() -> None:
    """Every reason for which the core can move occurs in at least one story."""
    told = "\n".join(path.read_text().partition("---")[2] for path in STORIES)
    never = [code.name for code in MOVES if code.value not in told]
    assert not never, f"no story tells of {never}"
