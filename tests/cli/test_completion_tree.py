"""The completion file is what the application says."""

import json
from pathlib import Path

from reconciler.cli.completion import TREE, completions
from reconciler.cli.completion_tree import completion_tree


def test_the_file_is_current() -> None:
    assert json.loads(Path(TREE).read_text()) == completion_tree(), "run `make schema`"


def test_commands_options_values_and_fields_are_completed() -> None:
    assert [line.partition("\t")[0] for line in completions(["pl"])] == ["plan"]
    assert [line.partition("\t")[0] for line in completions(["plan", "--ou"])] == ["--output", "--out"]
    assert completions(["plan", "--output", ""]) == ["text", "json"]
    assert "interface.virtual.vhid" in completions(["explain", "interface.virtual."])
    assert completions(["apply", "change"]) == [], "no answer means file names"
    assert completions(["--node", "x.toml", "hist"])[0].startswith("history\t")
    assert completions(["nonsense", ""]) == []
