"""Every story is played and must end as it says, word for word. --rewrite-goldens rewrites the timelines."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.simulation.script import play, read, written

STORIES = sorted((Path(__file__).parent.parent / "stories").glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, golden: Callable[[Path, str], None]) -> None:
    story = read(path.read_text())
    telling = play(story)
    assert not telling.failures, "\n".join((*telling.lines, *telling.failures))
    assert story.expects, "a story has to expect something"
    assert story.head[0].startswith("# "), "a story begins with what it tells"
    golden(path, written(story, telling))
