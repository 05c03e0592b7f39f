"""Where output goes and what is in it: no command lets words of others move a cursor, and none ends in a traceback."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from typing import Final

import pytest

from reconciler.cli.application import COMMANDS
from reconciler.printing import printable_text
from tests.cli.screen import Screen
from tests.controller import PAIR, ROOT, Controller, interface

STORAGE: Final = interface("storage0", "10.0.0.1/24", nic="e0")
#: Everything that a terminal obeys or people do not see: C0, C1, DEL, turned text, no width, a line end.
EVIL: Final = "\x1b]0;x\a\x1b[2J\x1b[31m\x9b2J\x7f\u202e\u2066\u200b\ufeff\u2028"
#: The same in YAML's double quotes.
WRITTEN: Final = json.dumps(EVIL)[1:-1]
BAD: Final = f"""\
apiVersion: "hagit/v1{WRITTEN}"
kind: "Pa{WRITTEN}ir"
metadata: {{name: "x{WRITTEN}"}}
spec: {{"k{WRITTEN}ey": 1}}
---
apiVersion: hagit/v1
kind: Interface
metadata: {{name: "n{WRITTEN}"}}
spec:
  "un{WRITTEN}known": 1
  mtu: "{WRITTEN}"
  role: "{WRITTEN}"
  a: {{match: {{mac: "{WRITTEN}"}}, address: "{WRITTEN}/24"}}
---
apiVersion: hagit/v1
kind: Dataset
metadata: {{name: d}}
spec: {{dataset: "tank/{WRITTEN}", mountpoint: "/a{WRITTEN}", properties: {{compression: "{WRITTEN}"}}}}
"""
#: What hagit writes itself: colours, a cleared line, the top of the screen.
OWN: Final = re.compile(r"\x1b\[(?:[0-9;]*m|G|K|H|J)")
#: These run until they are ended, or change more than this controller.
STAYING: Final = {"agent", "watchdog"}
ARGUMENTS: Final[dict[str, list[list[str]]]] = {
    "init": [["--help"]],
    "validate": [["bad"], ["bad", "-o", "json"]],
    "explain": [[f"interface.{EVIL}"]],
    "plan": [[], ["-o", "json"], ["-C", "bad"], ["-r", f"x{EVIL[1:]}"], ["--out", f"/nowhere{EVIL}"]],
    "apply": [["--yes"], ["--yes", f"/nowhere{EVIL}"]],
    "diff": [[], ["-o", "json"], ["-C", "bad"]],
    "drift": [[], ["-o", "json"]],
    "status": [[], ["-o", "json"]],
    "history": [[], ["-o", "json"]],
    "decisions": [[], ["-o", "json"]],
    "power": [["off", "--word", EVIL]],
    "maintenance": [["on"], ["off"]],
    "completion": [["bash"]],
    "rehearse": [["--list"], [EVIL]],
    "accept-history": [[f"x{EVIL}"]],
    "rollback": [[f"x{EVIL}"]],
    "drill": [["--help"]],
    "enroll": [[f"x{EVIL}"]],
}


@pytest.fixture
def hostile(controller: Controller) -> Controller:
    """A controller on which everything that others choose is hostile."""
    controller.work.git("config", "user.name", f"Ev{EVIL}il")
    controller.work.git("config", "user.email", f"e{EVIL}@x")
    controller.machine.run("ip", "link", "set", "e1", "alias", f"hagit{EVIL}")
    controller.machine.run("ip", "link", "add", "q\x1b[31mX", "type", "veth", "peer", "name", "q1")
    controller.machine.run("ip", "address", "add", "192.0.2.1/24", "dev", "q\x1b[31mX")
    controller.work.commit(f"First {EVIL}\n\nbody", pair__yaml=PAIR, net__yaml=STORAGE)
    bad = controller.root / "bad"
    bad.mkdir()
    (bad / "bad.yaml").write_text(BAD)
    (bad / f"b{EVIL[:4]}.yaml").write_text(BAD)
    return controller


def clean(text: str) -> None:
    """No character of others does anything; colours are hagit's own and end before what others wrote."""
    left = OWN.sub("", text.replace("\r\n", "\n"))
    assert left == printable_text(left), ascii(left)
    assert "\x1b[2J" not in text and "\x1b[31mX" not in text
    assert "Traceback" not in text


def test_no_command_prints_what_a_terminal_obeys(hostile: Controller) -> None:
    names = [name for name, *_ in COMMANDS if name not in STAYING]
    for name in names:
        for words in ARGUMENTS.get(name, [[]]):
            given = [str(hostile.root / "bad") if word == "bad" else word for word in words]
            done = hostile.hagit(name, *given, FORCE_COLOR="1")
            clean(done.out)
            clean(done.err)
            if "json" in words and done.out:
                json.loads(done.out.splitlines()[0] if name == "decisions" else done.out)
    hostile.work.commit(f"Bad {EVIL}", bad__yaml=BAD)
    log = hostile.start_agent("--once")
    log.process.wait()
    clean(log.log.read_text())
    for name in ("plan", "status", "decisions", "history", "drift"):
        screen = Screen(hostile, name)
        screen.end()
        clean(screen.shown)
    for path in hostile.state.rglob("*.json*"):
        clean(path.read_text())


def test_an_author_of_a_hundred_thousand_characters_is_cut(controller: Controller) -> None:
    controller.work.git("config", "user.name", "A" * 100_000)
    controller.work.commit("First", pair__yaml=PAIR)
    controller.apply()
    assert len(controller.hagit("status").out) < 3_000
    assert len(controller.hagit("history").out) < 3_000


@pytest.fixture
def changed(controller: Controller) -> Controller:
    """There is something to be done, and its words are not ASCII."""
    controller.work.commit("grün → ok", pair__yaml=PAIR, net__yaml=STORAGE)
    return controller


def shell(controller: Controller, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell's line; HAGIT stands for the command."""
    line = command.replace("HAGIT", shlex.join(controller.argv()))
    return subprocess.run(
        ["bash", "-c", line],
        cwd=ROOT,
        env=controller.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("redirected", ["> /dev/full", ">&-"])
@pytest.mark.parametrize(
    ("command", "status"),
    [("plan", 1), ("drift", 2), ("diff", 2), ("schema", 1), ("status -o json", 1), ("--version", 1), ("explain", 1)],
)
def test_output_that_cannot_be_written_is_an_error_and_no_difference(
    changed: Controller, redirected: str, command: str, status: int
) -> None:
    changed.apply()
    done = shell(changed, f"HAGIT {command} {redirected}")
    assert done.returncode == status
    assert "standard output cannot be written: " in done.stderr and "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_what_was_begun_is_done_though_nothing_can_be_printed(changed: Controller) -> None:
    done = shell(changed, "HAGIT apply --yes > /dev/full")
    assert done.returncode == 1 and "standard output cannot be written" in done.stderr
    assert changed.addresses() == {"10.0.0.1/24"}


def test_standard_error_that_cannot_be_written_changes_nothing(changed: Controller) -> None:
    for redirected in ("2> /dev/full", "2>&-"):
        done = shell(changed, f"HAGIT plan {redirected}")
        assert done.returncode == 0 and "10.0.0.1/24" in done.stdout
        failed = shell(changed, f"HAGIT plan -r nothing {redirected}")
        assert failed.returncode == 1 and not failed.stderr
    assert shell(changed, "HAGIT plan <&- >&- 2>&-").returncode == 1


@pytest.mark.parametrize(
    ("command", "status"),
    [("schema", 0), ("drift", 2), ("diff", 2), ("plan --detailed-exitcode", 1), ("plan", 0), ("--help", 0)],
)
def test_a_pipe_that_is_closed_early_answers_no_question(changed: Controller, command: str, status: int) -> None:
    changed.apply()
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        changed.argv(*command.split()),
        cwd=ROOT,
        env=changed.environment,
        stdout=writes,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (status, b"")


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:strict"},
    ],
    ids=str,
)
def test_a_terminal_with_few_characters_shows_everything(changed: Controller, environment: dict[str, str]) -> None:
    done = subprocess.run(
        changed.argv("plan"), cwd=ROOT, env=changed.environment | environment, capture_output=True, check=False
    )
    assert done.returncode == 0 and b"10.0.0.1/24" in done.stdout and b"Traceback" not in done.stderr
