"""Wrong input from the commit to the screen: one clear message, exit status 1, and nothing is half-applied."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from tests.controller import PAIR, Controller, interface

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0")


def refused(controller: Controller, *words: str) -> None:
    """Both plan and apply say all of this, and the controller is as it was."""
    before = controller.show("address"), controller.show("route"), controller.show("-d", "link")
    for command in (("plan",), ("apply", "--yes")):
        done = controller.hagit(*command)
        assert done.code == 1, done
        assert "Traceback" not in done.err
        for word in words:
            assert word in done.err, done
        assert len(done.err) < 20_000, "nobody reads so much"
        assert done.out == ""
    after = controller.show("address"), controller.show("route"), controller.show("-d", "link")
    assert strip(before) == strip(after)
    assert controller.in_force() == ""


def strip(seen: object) -> object:
    """What `ip` shows, without counters that run by themselves."""
    if isinstance(seen, dict):
        return {
            key: strip(value) for key, value in seen.items() if key not in ("valid_life_time", "preferred_life_time")
        }
    if isinstance(seen, list | tuple):
        return [strip(item) for item in seen]
    return seen


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"kind: [Pair\n", ("bad.yaml:2:1:",)),
        (b"kind:\n\tPair\n", ("bad.yaml:2:1:", "tab")),
        (b"kind: Pair\nkind: Route\n", ("bad.yaml:2:1:", "`kind`", "twice")),
        (b"[" * 10_000, ("bad.yaml:1:65:", "deep")),
        (b"kind: &one Pair\n", ("bad.yaml:1:7:", "anchor")),
        (b"kind: Pair\nspec: *one\n", ("bad.yaml:2:7:", "alias")),
        (b"kind: !!str Pair\n", ("bad.yaml:1:7:", "tag")),
        (b"%YAML 1.1\n---\nkind: Pair\n", ("bad.yaml:1:1:", "directive")),
        (b"kind: Pair\xff\n", ("bad.yaml:1:11:", "UTF-8")),
        (STORAGE.replace("mtu", "mut").replace("match", "mach").encode(), ("bad.yaml:6", "`mach`", "match")),
        (STORAGE.replace("10.0.0.1/24", "10.0.0.1").encode(), ("bad.yaml:6", "prefix")),
        (STORAGE.replace("Interface", "Interfce").encode(), ("bad.yaml:3", "Interfce", "Interface")),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_text_that_is_wrong(controller: Controller, content: bytes, words: tuple[str, ...]) -> None:
    controller.work.write("bad.yaml", content)
    controller.work.commit("A mistake")
    refused(controller, *words)


def test_fifty_megabytes(controller: Controller) -> None:
    controller.work.write("big.yaml", b"# nothing\n" * 5_000_000)
    controller.work.commit("A mistake")
    refused(controller, "big.yaml: 47.7 MiB is more than 16 MiB")


def test_a_symlink_and_a_submodule(controller: Controller) -> None:
    (controller.work.path / "link.yaml").symlink_to("/etc/passwd")
    controller.work.commit("A link")
    refused(controller, "link.yaml", "symlink")
    (controller.work.path / "link.yaml").unlink()
    head = controller.work.git("rev-parse", "HEAD")
    controller.work.git("update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    controller.work.git("commit", "-q", "-m", "A submodule")
    refused(controller, "sub", "submodule")


def test_a_repository_with_sha256_objects(controller: Controller) -> None:
    shutil.rmtree(controller.work.path)
    controller.work.path.mkdir()
    controller.work.git("init", "-q", "-b", "main", "--object-format=sha256")
    controller.work.commit("Begin", pair__yaml=PAIR)
    refused(controller, "SHA-256")


def test_an_empty_repository(controller: Controller) -> None:
    shutil.rmtree(controller.work.path)
    controller.work.path.mkdir()
    controller.work.git("init", "-q", "-b", "main")
    refused(controller, "the repository is empty: it has no commit yet")


def held(controller: Controller, *words: str) -> str:
    """The plan says all of this; what does not depend on it is applied and the rest is not."""
    (controller.root / "hostname").write_text("shelf-a\n")
    controller.machine.run("hostname", "shelf-a")
    plan = controller.hagit("plan")
    assert plan.code == 0, plan
    for word in words:
        assert word in " ".join(plan.out.split()), plan.out
    done = controller.apply()
    assert "held" in done.out
    return plan.out


def test_an_interface_that_matches_no_nic_holds_only_itself(controller: Controller) -> None:
    text = STORAGE + interface("gone", "10.4.0.1/24", nic="eth9")
    controller.work.commit("One that is not there", net__yaml=text)
    held(controller, "gone", "no NIC", "eth9", "net.yaml:")
    assert controller.addresses() == {"10.0.0.1/24"}
    assert "1 held" in controller.hagit("status").out or controller.hagit("drift").code in (0, 1)


def test_an_interface_that_matches_two_nics_holds_only_itself(controller: Controller) -> None:
    controller.ip("link add twin address 02:00:00:00:0a:01 type veth peer name twin-far")
    twice = interface("twice", "10.4.0.1/24").replace("match: {name: twice}", 'match: {mac: "02:00:00:00:0a:01"}', 1)
    controller.work.commit("One that is there twice", net__yaml=STORAGE + twice)
    held(controller, "twice", "e1", "twin")
    assert controller.addresses() == {"10.0.0.1/24"}


def test_a_nic_that_two_resources_match_is_given_to_neither(controller: Controller) -> None:
    one = interface("one", "10.4.0.1/24", nic="e1")
    two = interface("two", "10.5.0.1/24").replace("match: {name: two}", 'match: {mac: "02:00:00:00:0a:01"}', 1)
    controller.work.commit("Two for one", net__yaml=STORAGE + one + two)
    held(controller, "one and two claim the same NIC e1")
    assert controller.addresses() == {"10.0.0.1/24"}


def test_an_mtu_beyond_the_driver_is_held_with_its_limit(controller: Controller) -> None:
    """veth takes up to 65535, and the language up to 65536."""
    controller.work.commit("Too large", net__yaml=interface("storage0", "10.0.0.1/24", nic="e0", mtu=65536))
    held(controller, "65535", "mtu")
    assert controller.mtu("e0") == 1500


def test_an_mtu_that_only_the_kernel_knows_to_refuse(controller: Controller) -> None:
    """A NIC on top of another takes what that one takes, which no limit of its own says."""
    controller.ip("link add link e0 name top0 type macvlan mode bridge")
    text = interface("storage0", "10.0.0.1/24", nic="e1") + interface("top", "10.4.0.1/24", nic="top0", mtu=9000)
    controller.work.commit("Too large", net__yaml=text)
    done = controller.hagit("apply", "--yes")
    assert done.code == 1, done
    assert "top0" in done.err
    assert "MTU" in done.err
    assert "held (refused)" in done.err
    assert controller.mtu("top0") == 1500
    # Everything else was done, and the revision is in force.
    assert controller.addresses() == {"10.0.0.1/24", "10.4.0.1/24"}
    assert "1 held" in controller.hagit("history").out
    mended = controller.work.commit("Smaller", net__yaml=text.replace("9000", "1400"))
    controller.apply()
    assert controller.in_force() == mended
    assert controller.addresses() == {"10.0.0.1/24", "10.4.0.1/24"}


def test_a_link_that_vanishes_between_plan_and_apply(controller: Controller) -> None:
    controller.work.commit("Storage", net__yaml=STORAGE + interface("data0", "10.1.0.1/24", nic="e1"))
    saved = controller.root / "change.plan"
    assert controller.hagit("plan", "--out", str(saved)).code == 0
    controller.ip("link delete e1")
    done = controller.hagit("apply", "--yes", str(saved))
    assert done.code == 1
    assert "e1 is gone" in done.err
    assert controller.addresses() == set()


def test_a_link_that_vanishes_while_the_question_waits(controller: Controller) -> None:
    controller.work.commit("Storage", net__yaml=STORAGE + interface("data0", "10.1.0.1/24", nic="e1"))
    screen = Screen(controller, "apply")
    screen.until("Only 'yes' is taken: ")
    controller.ip("link delete e1")
    screen.type("yes\n")
    assert screen.end() == 1
    assert "e1 is gone" in screen.shown
    assert controller.addresses() == set()
    controller.apply()
    assert controller.addresses() == {"10.0.0.1/24"}


def test_node_files(controller: Controller, tmp_path: Path) -> None:
    cases: tuple[tuple[Callable[[Path], object], str], ...] = (
        (lambda path: None, "there is no node file here"),
        (lambda path: path.write_text("controller = "), "not TOML"),
        (lambda path: path.write_text('controller = "c"'), "`controller` has a value that does not fit"),
        (lambda path: path.write_text('controller = "a"\ncolour = "red"'), "`colour` is not known here"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not TOML"),
        (lambda path: path.mkdir(), "Is a directory"),
    )
    for number, (make, words) in enumerate(cases):
        path = tmp_path / f"node{number}"
        make(path)
        for how in (("--node", str(path), "plan"), ("plan", "--node", str(path)), (f"--node={path}", "status")):
            done = controller.hagit(*how)
            assert done.code == 1, done
            assert words in done.err
            assert str(path) in done.err
        done = controller.hagit("diff", HAGIT_NODE=str(path))
        assert (done.code, words in done.err) == (2, True), done


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("aply",), "apply"),
        (("plan", "--detailed"), "--detailed-exitcode"),
        (("plan", "-o", "yaml"), "yaml"),
        (("history", "-n", "0"), "0"),
        (("completion", "tcsh"), "tcsh"),
        (("accept-history",), "COMMIT"),
        (("--node",), ""),
    ],
)
def test_command_lines_that_make_no_sense(controller: Controller, arguments: tuple[str, ...], words: str) -> None:
    done = controller.hagit(*arguments)
    assert done.code == 2, done
    assert words in done.err
    assert "Traceback" not in done.err
    assert os.sep + "reconciler" not in done.err
