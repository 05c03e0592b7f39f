"""Draws the README's picture: the plan of the minimal pair as a terminal shows it.

python -m tests.picture
"""

import io
import json
from pathlib import Path

from rich.console import Console
from rich.text import Text

from reconciler.core.facts.codec import observed_from_document
from reconciler.core.planning.planner import make_plan
from reconciler.core.planning.render import render_plan
from reconciler.core.spec import compile_desired, load
from tests.test_examples import REVISION

FOLDER = Path(__file__).parent.parent / "examples" / "minimal-pair"


def main() -> None:
    tree = {path.name: path.read_bytes() for path in FOLDER.glob("*.yaml")}
    observed = observed_from_document(json.loads((FOLDER / "observed-a.json").read_text()))
    plan = make_plan(compile_desired(load(tree), "a"), observed, REVISION)
    text = Text.from_ansi(render_plan(plan, color=True, width=100))
    console = Console(record=True, width=104, file=io.StringIO())
    console.print(text)
    (FOLDER / "plan.svg").write_text(console.export_svg(title="hagit plan", unique_id="plan"))


if __name__ == "__main__":
    main()
