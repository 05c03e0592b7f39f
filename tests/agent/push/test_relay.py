"""A controller whose remote cannot be reached follows it by way of the other one, by its own judgement."""

from __future__ import annotations

import json
from pathlib import Path

from tests.agent.push.conftest import Enrolled
from tests.wait import until


def follow_a_remote(pair: Enrolled, url_of_b: str) -> None:
    """Both follow the repository of a instead of hosting one; b can reach it only if its URL is right."""
    remote = str(pair.a.work.path)
    for side, url in ((pair.a, remote), (pair.b, url_of_b)):
        text = side.controller.node.read_text()
        text = text[: text.index("[push]")] + text[text.index("[peer]") :]
        side.controller.node.write_text(text.replace("branch = 'main'", f"branch = 'main'\nremotes = ['{url}']"))
        side.controller.agents[-1].stop()
        side.controller.start_agent()


def test_commits_come_by_way_of_the_peer_and_are_judged_here(enrolled: Enrolled) -> None:
    a, b = enrolled.a, enrolled.b
    first = a.work.git("rev-parse", "HEAD")
    follow_a_remote(enrolled, "https://127.0.0.1:1/pair.git")
    a.controller.until_applied(first)
    b.controller.until_applied(first)

    def told() -> list[str]:
        return [line["alert"]["summary"] for line in b.controller.lines("decisions.jsonl") if "alert" in line]

    until(lambda: any("127.0.0.1:1" in summary and "another remote answers" in summary for summary in told()), told)
    assert not Path(b.directory / "pair.git/refs/heads/main").exists()
    # What b does not trust is not followed, although a does.
    (b.controller.root / "signers").write_text("")
    second = a.work.commit("For a alone", note__yaml="")
    until(lambda: json.loads((a.controller.state / "source.json").read_text())["head"] == second)
    b.controller.agents[-1].stop()
    b.controller.start_agent()
    alert = b.controller.until_alert("revision-refused")
    assert "no signature that is trusted here" in alert["summary"]
    assert b.controller.in_force() == first != second
