"""Every defect of a desired state has a file here, and beside it the complaints with line and column."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.spec import load
from reconciler.core.spec.lint import DEFECTS
from reconciler.errors import ConfigurationError

BAD = Path(__file__).parent / "bad"
GOOD = Path(__file__).parent / "good"
PAIR = (GOOD / "pair.yaml").read_bytes()


def complaints(path: Path) -> str:
    """All complaints about one file as a person reads them, with their codes; a file without a Pair is given one."""
    data = path.read_bytes()
    tree = {path.name: data}
    if b"kind: Pair" not in data and not path.name.startswith("pair-missing"):
        tree["good-pair.yaml"] = PAIR
    try:
        found = load(tree).warnings
    except ConfigurationError as error:
        found = error.complaints
    return "".join(f"{complaint}\n  [{complaint.code}]\n" for complaint in found)


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_defect_is_complained_about(path: Path, golden: Callable[[Path, str], None]) -> None:
    text = complaints(path)
    assert f"[{path.stem.partition('+')[0]}]" in text, "the file is named for the code of its complaint"
    golden(path.with_suffix(".txt"), text)


def test_every_code_of_the_linter_has_a_bad_file() -> None:
    assert set(DEFECTS) <= {path.stem.partition("+")[0] for path in BAD.glob("*.yaml")}


@pytest.mark.parametrize("code", sorted(DEFECTS))
def test_every_defect_says_what_it_is(code: str) -> None:
    assert DEFECTS[code].summary.endswith(".")


@pytest.mark.parametrize("path", sorted(GOOD.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_good_has_not_even_a_warning(path: Path) -> None:
    tree = {path.name: path.read_bytes()}
    if path.stem != "pair" and b"kind: Pair" not in tree[path.name]:
        tree["pair.yaml"] = PAIR
    assert load(tree).warnings == ()
