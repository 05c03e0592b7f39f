"""README and tour are true: the tour works line by line, the picture is what the program prints, the commands exist."""

import html
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

from reconciler.cli.application import COMMANDS
from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.loader import load
from reconciler.system.git.tree import read_directory

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TOUR = (ROOT / "docs" / "tour.md").read_text()
PICTURE = ROOT / "examples" / "minimal-pair" / "plan.svg"


def tour() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", TOUR, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def test_the_tour_works_line_by_line() -> None:
    first, *lines = tour()
    assert first == "unshare --net --uts --mount bash"
    # `set -e` ends it at the first line that fails; each line is shown before it runs, so a failure says where.
    script = "set -e; set -o pipefail\n" + "\n".join(f"echo '+ '{i}\n{line}" for i, line in enumerate(lines))
    command = ["unshare", "--net", "--uts", "--mount", "bash", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert f"+ {len(lines) - 1}" in output
    for words in (
        "Plan for controller a",
        "Applied main@",
        "No changes. Live state matches",
        "1 difference drifted",
        "exit status 1: there are differences",
        "Rolling back to",
        "mtu 1500",
    ):
        assert words in output, f"{words!r} is missing in:\n{output}"


def test_the_picture_shows_what_the_program_prints() -> None:
    picture = PICTURE.read_text()
    shown = [html.unescape(text) for text in re.findall(r"<text [^>]*-line-\d+[^>]*>(.*?)</text>", picture)]
    plan = (ROOT / "examples" / "minimal-pair" / "plan.txt").read_text()
    squeezed = re.sub(r"\s", "", "".join(shown).replace("\xa0", ""))
    assert re.sub(r"\s", "", plan) in squeezed, "draw it anew: python -m tests.picture"


def test_every_command_is_named() -> None:
    table = README[README.index("## Commands") :]
    for name, _, _ in COMMANDS:
        assert f"`{name}`" in table or f"hagit {name}" in table, f"the README does not name {name}"


def test_the_export_of_the_readme_belongs_to_a_valid_pair(tmp_path: Path) -> None:
    (block,) = re.findall(r"((?:    .*\n)*    kind: NfsExport\n(?:    .*\n)+)", README)
    (tmp_path / "export.yaml").write_text(textwrap.dedent(block))
    for name in ("pair.yaml", "storage.yaml"):
        shutil.copy(ROOT / "examples" / "nfs-and-iscsi" / name, tmp_path)
    loaded = load(read_directory(tmp_path))
    assert list(loaded.of(KINDS["NfsExport"])) == ["home"]
