"""Which scope a change of the desired state needs."""

import pytest

from reconciler.core.facts.scope import EVERYTHING, Scope, Scopes
from reconciler.core.spec.commit_changes import touched
from reconciler.core.spec.kinds import KINDS


def one(kind: str, name: str, spec: str) -> str:
    return f"apiVersion: hagit/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"


PAIR = one("Pair", "north", "{a: {hostname: n-a}, b: {hostname: n-b}, dns: [10.0.0.2]}")
LINK = one("Interface", "data0", "{mtu: 9000, a: {match: {name: e0}}}")
POOL = one("Pool", "tank", "{vdevs: [{type: disk, disks: [d1]}], protected: true}")
HOME = one("Dataset", "home", "{dataset: tank/home, quota: 2T}")
ALL = PAIR + LINK + POOL + HOME


def scopes(before: str, after: str) -> set[str]:
    return {str(touch.scope) for touch in touched({"s.yaml": before.encode()}, {"s.yaml": after.encode()})}


def test_fields_with_a_scope_of_their_own_are_fields_of_the_kind() -> None:
    for kind in KINDS.values():
        known = {field.alias or name for name, field in kind.spec.model_fields.items()}
        assert {*kind.field_scopes, *kind.unwritten} <= known, kind.name


@pytest.mark.parametrize(
    ("old", "new", "needs"),
    [
        ("mtu: 9000", "mtu: 1500", "network"),
        ("mtu: 9000", "critical: true, failoverGroup: 1, mtu: 9000", "failover"),
        ("mtu: 9000", "role: interlink", "network failover"),
        ("dns: [10.0.0.2]", "dns: [10.0.0.3]", "network"),
        ("hostname: n-a", "hostname: n-x", "failover"),
        ("name: north", "name: south", "failover network"),
        ("quota: 2T", "quota: 3T", "storage"),
        ("quota: 2T", "destroy: true", "storage destroy"),
        ("quota: 2T", "quota: 2T, protected: false", "destroy"),
        (", protected: true", "", "destroy"),
        ("disks: [d1]", "disks: [d2]", "storage"),
        (POOL, "", "storage destroy"),
        (HOME, "", "storage"),
        (HOME, HOME + one("Source", "source", "{remotes: [/srv/x]}"), "source"),
        (HOME, HOME + one("Alerting", "alerts", "{drift: {default: heal}}"), "source"),
        (HOME, HOME + one("Failover", "failover", "{enabled: false}"), "failover"),
        (HOME, HOME + one("Route", "out", "{destination: 10.9.0.0/16, gateway: 10.0.0.9}"), "network"),
    ],
)
def test_a_change_needs_the_scope_of_what_it_changes(old: str, new: str, needs: str) -> None:
    assert scopes(ALL, ALL.replace(old, new)) == set(needs.split())
    assert scopes(ALL.replace(old, new), ALL) == set(needs.split()), "the way back is as dear"


@pytest.mark.parametrize(
    "after",
    [
        "# a comment\n" + ALL.replace("{mtu: 9000,", "{ mtu:   9000,"),
        HOME + POOL + PAIR + LINK,
        ALL.replace("quota: 2T", "destroy: false, protected: true, quota: 2T"),
        ALL.replace("mtu: 9000", "mtu: 9000, critical: false"),
    ],
)
def test_what_says_the_same_needs_no_scope(after: str) -> None:
    assert scopes(ALL, after) == set()


def test_a_resource_may_move_to_another_file() -> None:
    before = {"all.yaml": ALL.encode(), "README.md": b"one"}
    after = {"a.yaml": (PAIR + HOME).encode(), "b/c.yml": (POOL + LINK).encode(), "README.md": b"two"}
    assert touched(before, after) == ()


@pytest.mark.parametrize(
    "broken",
    [
        "kind: [",
        ALL.replace("mtu: 9000", "mtu: &x 9000"),
        ALL.replace("mtu: 9000", "mtu: 1, mtu: 9000"),
        ALL.replace("kind: Route", "kind: Rout") + one("Rout", "x", "{}"),
        ALL + one("Route", "7", "{}"),
        ALL + "- a list\n",
        ALL + "kind: Route\nmetadata: {name: x}\nspec: text\n",
        ALL + LINK,
        ALL + "\x00",
    ],
)
def test_what_cannot_be_read_touches_everything_before_and_after(broken: str) -> None:
    assert scopes(ALL, broken) == {*Scope}
    assert scopes(broken, ALL) == {*Scope}


def test_values_that_python_takes_for_equal_differ() -> None:
    assert scopes(ALL, ALL.replace("mtu: 9000", "mtu: 1")) == {"network"}
    assert scopes(ALL.replace("mtu: 9000", "mtu: true"), ALL.replace("mtu: 9000", "mtu: 1")) == {"network"}


def test_a_dataset_that_is_to_be_destroyed_is_not_retargeted_by_storage_alone() -> None:
    doomed = HOME.replace("quota: 2T", "destroy: true")
    assert scopes(doomed, doomed.replace("tank/home", "tank/mail")) == {"storage", "destroy"}


def test_a_touch_names_resource_file_and_line() -> None:
    (touch,) = touched({"s.yaml": ALL.encode()}, {"s.yaml": ALL.replace("mtu: 9000", "mtu: 1500").encode()})
    assert (touch.what, touch.file, touch.line) == ("Interface/data0, mtu", "s.yaml", 9)
    gone = touched({"s.yaml": ALL.encode()}, {"s.yaml": ALL.replace(HOME, "").encode()})
    assert {(touch.what.partition(",")[0], touch.line) for touch in gone} == {
        ("Dataset/home (removed)", 18), ("Dataset/home (removed)", 19),
    }  # fmt: skip


def test_the_table_gives_the_narrowest_of_a_signers_lists() -> None:
    table = Scopes(
        {"net": frozenset({Scope.NETWORK}), "two": frozenset({Scope.NETWORK, Scope.STORAGE}), "root": EVERYTHING},
        default=frozenset({Scope.SOURCE}),
    )
    assert table.of({"net"}) == {Scope.NETWORK}
    assert table.of({"net", "two"}) == {Scope.NETWORK}
    assert table.of({"other"}) == {Scope.SOURCE}
    assert Scopes(table.named).of({"other"}) == EVERYTHING
    # A name that a signer gives himself takes away only.
    assert table.of({"FINGER"}, "root") == {Scope.SOURCE}
    assert Scopes(table.named).of({"FINGER"}, "net") == {Scope.NETWORK}
    assert table.spelled() != Scopes(table.named).spelled()
