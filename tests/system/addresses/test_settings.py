"""The ARP settings are ours while we manage, and what they were before comes back, also after a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from reconciler.system.addresses.links import Links
from reconciler.system.addresses.settings import InterfaceSettings
from reconciler.system.addresses.snapshot import NetworkSnapshot
from tests.system.addresses.segment import ip, placing, setting

KEYS = ("arp_ignore", "arp_announce", "promote_secondaries")
OURS = (1, 2, 1)


def values(name: str) -> tuple[int, ...]:
    return tuple(setting(name, key) for key in KEYS)


def write(name: str, key: str, value: int) -> None:
    Path(f"/proc/sys/net/ipv4/conf/{name}/{key}").write_text(str(value))


@pytest.fixture
def cards(bare_network: None) -> None:
    ip("link add e0 type veth peer name far0", "link add e1 type veth peer name far1")
    write("e0", "arp_ignore", 4)


@contextmanager
def keeping(journal: Path) -> Iterator[tuple[InterfaceSettings, Links]]:
    with closing(Links()) as links:
        yield InterfaceSettings(links, journal), links


def look(links: Links) -> NetworkSnapshot:
    snapshot = links.snapshot()
    assert isinstance(snapshot, NetworkSnapshot)
    return snapshot


def index_of(links: Links, name: str) -> int:
    return next(link.index for link in look(links).links.values() if link.name == name)


def test_they_are_set_and_given_back(cards: None, tmp_path: Path) -> None:
    journal = tmp_path / "addresses.json"
    before = values("e0")
    assert before == (4, 0, 0)
    with keeping(journal) as (settings, links):
        assert settings.manage([index_of(links, "e0")], look(links)) == ()
        assert values("e0") == OURS
        assert values("e1") == (0, 0, 0)
        assert settings.restore(look(links)) == ()
    assert values("e0") == before
    assert not journal.exists()


def test_a_crash_keeps_what_was_before(cards: None, tmp_path: Path) -> None:
    journal = tmp_path / "addresses.json"
    with keeping(journal) as (settings, links):
        settings.manage([index_of(links, "e0"), index_of(links, "e1")], look(links))
    assert values("e0") == values("e1") == OURS
    with keeping(journal) as (settings, links):
        # It goes on with one of them, so the other gets its own back at once.
        settings.manage([index_of(links, "e0")], look(links))
        assert (values("e0"), values("e1")) == (OURS, (0, 0, 0))
        settings.restore(look(links))
    assert values("e0") == (4, 0, 0)


def test_another_hand_is_put_right_meanwhile_and_left_in_the_end(cards: None, tmp_path: Path) -> None:
    with keeping(tmp_path / "addresses.json") as (settings, links):
        index = index_of(links, "e0")
        settings.manage([index], look(links))
        write("e0", "arp_ignore", 0)
        settings.manage([index], look(links))
        assert values("e0") == OURS
        write("e0", "arp_announce", 1)
        settings.restore(look(links))
        assert values("e0") == (4, 1, 0)


def test_a_renamed_interface_is_the_same_and_one_in_its_place_is_not(cards: None, tmp_path: Path) -> None:
    journal = tmp_path / "addresses.json"
    with keeping(journal) as (settings, links):
        index = index_of(links, "e0")
        settings.manage([index], look(links))
        ip("link set e0 name eth7")
        settings.restore(look(links))
        assert values("eth7") == (4, 0, 0)
        settings.manage([index], look(links))
        ip("link del eth7", f"link add e5 index {index} type veth peer name far5")
        write("e5", "arp_ignore", 1)
        assert settings.restore(look(links)) == ()
        assert setting("e5", "arp_ignore") == 1
    assert not journal.exists()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"interfaces": 3}', '{"interfaces": [1, {"index": "x"}, {"index": 2, "mac": 3}]}', "\0" * 9],
)
def test_a_damaged_journal_is_no_obstacle(cards: None, tmp_path: Path, content: str) -> None:
    journal = tmp_path / "addresses.json"
    journal.write_text(content)
    with keeping(journal) as (settings, links):
        assert settings.manage([index_of(links, "e0")], look(links)) == ()
        assert values("e0") == OURS
        (row,) = json.loads(journal.read_text())["interfaces"]
        assert row["arp_ignore"] == 4


def test_a_journal_that_cannot_be_written_is_a_problem_and_the_settings_are_made(cards: None, tmp_path: Path) -> None:
    with keeping(tmp_path / "nowhere" / "addresses.json") as (settings, links):
        (problem,) = set(settings.manage([index_of(links, "e0")], look(links)))
        assert "nowhere" in problem.where
        assert values("e0") == OURS
        # It is tried again with the next look.
        (tmp_path / "nowhere").mkdir()
        assert settings.manage([index_of(links, "e0")], look(links)) == ()
        assert settings.problem is None
    with keeping(tmp_path / "nowhere" / "addresses.json") as (settings, links):
        settings.restore(look(links))
    assert values("e0") == (4, 0, 0)


def test_a_standby_has_the_settings_without_the_addresses(cards: None, tmp_path: Path) -> None:
    with placing(tmp_path, "10.0.0.10/24", want=False) as placement:
        placement.step(0)
        assert values("e0") == OURS
        assert placement.close(restore=True) == ()
    assert values("e0") == (4, 0, 0)
