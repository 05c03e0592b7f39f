"""What is read, how much of it, and that nothing hostile gets further than its length costs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.spec import Configuration, load
from reconciler.core.spec.limits import COMPLAINTS_MAX, FILE_BYTES_MAX, RESOURCES_MAX, TREE_BYTES_MAX
from reconciler.core.spec.tree import documents
from reconciler.core.spec.yaml_text import yaml_text
from reconciler.errors import ConfigurationError

PAIR = b"""apiVersion: hagit/v1
kind: Pair
metadata: {name: pair}
spec:
  a: {hostname: storage-a}
  b: {hostname: storage-b}
"""
NIC = """---
apiVersion: hagit/v1
kind: Interface
metadata: {{name: {name}}}
spec:
  a: {{match: {{name: {name}}}}}
  b: {{match: {{name: {name}}}}}
"""


def codes(tree: dict[str, bytes]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(tree)
    return [complaint.code for complaint in caught.value.complaints]


def test_only_yaml_that_is_not_hidden_is_read() -> None:
    tree = {
        "pair.yaml": PAIR,
        "sub/net.yml": NIC.format(name="eth0").encode(),
        "README.md": b"\xff not: [yaml",
        ".github/workflows/ci.yaml": b"jobs: {}",
        ".pre-commit-config.yaml": b"repos: []",
        "notes.yaml.orig": b"x: [",
    }
    assert list(load(tree).interfaces) == ["eth0"]


def test_the_order_is_that_of_the_files() -> None:
    tree = {"b.yaml": NIC.format(name="one").encode(), "c.yaml": PAIR, "a.yaml": NIC.format(name="two").encode()}
    assert list(load(tree).interfaces) == ["two", "one"]


def test_nothing_at_all_is_a_missing_pair() -> None:
    assert codes({}) == ["pair-missing"]
    assert codes({"a.yaml": b"# nothing\n---\n---\n...\n"}) == ["pair-missing"]


def test_a_byte_order_mark_and_carriage_returns_are_harmless() -> None:
    data = b"\xef\xbb\xbf" + PAIR.replace(b"\n", b"\r\n")
    assert load({"pair.yaml": data}).pair.spec.a == load({"pair.yaml": PAIR}).pair.spec.a


def test_a_large_file_is_refused_unread() -> None:
    assert codes({"big.yaml": b"[" * (50 << 20)}) == ["file-too-large"]
    assert codes({"big.yaml": b" " * (FILE_BYTES_MAX + 1)}) == ["file-too-large"]


def test_many_files_are_refused_together() -> None:
    files = {f"{number}.yaml": b" " * FILE_BYTES_MAX for number in range(TREE_BYTES_MAX // FILE_BYTES_MAX + 1)}
    assert codes(files) == ["tree-too-large"]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{a: ", "&a [", "!a ["])
def test_ten_thousand_levels_are_refused_at_the_sixty_fifth(opening: str) -> None:
    found = codes({"deep.yaml": (opening * 10_000).encode()})
    assert "nesting" in found or "key" in found


def test_too_many_documents_are_refused() -> None:
    nics = [NIC.format(name=f"eth{number}") for number in range(RESOURCES_MAX + 1)]
    half = RESOURCES_MAX // 2
    assert codes({"a.yaml": "".join(nics[:half]).encode(), "b.yaml": "".join(nics[half:]).encode()}) == ["too-many"]


def test_no_more_complaints_than_anybody_reads() -> None:
    found = codes({"many.yaml": b"--- {}\n" * (COMPLAINTS_MAX + 5)})
    assert len(found) == COMPLAINTS_MAX + 1
    assert found.count("too-many") == 1


def test_complaints_of_all_files_come_at_once_and_in_order() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"b.yaml": b"kind: [", "a.yaml": NIC.format(name="x y").encode() + b"--- 1\n", "c.yaml": b"\xff"})
    places = [(complaint.file, complaint.line) for complaint in caught.value.complaints]
    assert places == sorted(places)
    assert {file for file, _ in places} == {"a.yaml", "b.yaml", "c.yaml"}
    assert str(caught.value).endswith("6 defects in the desired state")


def test_a_broken_resource_is_not_also_called_missing() -> None:
    broken = NIC.format(name="eth0").replace("spec:", "spec:\n  mtuu: 1")
    vlan = "---\napiVersion: hagit/v1\nkind: Interface\nmetadata: {name: v}\nspec: {vlan: {parent: eth0, id: 5}}\n"
    assert codes({"a.yaml": PAIR + broken.encode() + vlan.encode()}) == ["unknown-key"]


def test_a_secret_in_a_url_is_not_repeated() -> None:
    source = "---\napiVersion: hagit/v1\nkind: Source\nmetadata: {name: s}\nspec: {remotes: ['https://u:hunter2@git.example']}"
    with pytest.raises(ConfigurationError) as caught:
        load({"a.yaml": PAIR + source.encode()})
    assert "hunter2" not in str(caught.value)


def test_a_chain_or_circle_of_thousands_of_links_is_followed_to_its_end() -> None:
    count = 3_000
    vlan = (
        "---\napiVersion: hagit/v1\nkind: Interface\nmetadata: {{name: v{}}}\nspec: {{vlan: {{parent: v{}, id: 5}}}}\n"
    )
    chain = "".join(vlan.format(number, (number + 1) % count) for number in range(count))
    assert codes({"a.yaml": PAIR + chain.encode()}) == ["link-cycle"]
    assert codes({"a.yaml": PAIR + chain.replace("parent: v0,", "parent: nic,").encode()}) == ["parent-missing"]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_complained_about(data: bytes) -> None:
    try:
        assert isinstance(load({"a.yaml": PAIR + data}), Configuration)
    except ConfigurationError as error:
        assert error.complaints


@given(st.text(alphabet="ab:-[]{}\"'#&*!%|>? \n0", max_size=200))
def test_any_text_is_read_or_complained_about(text: str) -> None:
    try:
        load({"a.yaml": PAIR + text.encode()})
    except ConfigurationError as error:
        assert all(complaint.line >= 1 for complaint in error.complaints if complaint.file == "a.yaml")


scalars = st.text(max_size=20) | st.integers(-(10**17), 10**17) | st.booleans()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(scalars | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3), max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), values, min_size=1, max_size=4))
def test_what_is_written_is_read_back_the_same(value: dict[str, object]) -> None:
    (document,) = documents("a.yaml", yaml_text(value))
    assert not document.complaints
    assert json.dumps(document.value) == json.dumps(value)
