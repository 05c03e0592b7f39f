"""Pools and datasets as facts: codec, what follows from a change, and when a desired property is there."""

import json

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.facts.codec import (
    fact_document,
    fact_from_document,
    observed_document,
    observed_from_document,
)
from reconciler.core.facts.difference import need
from reconciler.core.facts.prediction import predict
from reconciler.core.facts.state import Observed, Placement, facts_by_key
from reconciler.core.facts.storage import STAMP, Dataset, DatasetKind, Pool, PoolProperty, Property, rests_on

words = st.text("abc/:é", max_size=5)
options = st.lists(st.tuples(words, words), max_size=3).map(tuple)
layouts = st.lists(st.lists(words, min_size=1, max_size=3).map(tuple), max_size=2).map(tuple)
facts = st.one_of(
    st.builds(Pool, words, st.booleans(), layouts, options, options),
    st.builds(PoolProperty, words, words, words),
    st.builds(Dataset, words, st.sampled_from(DatasetKind), st.booleans(), options),
    st.builds(Property, words, words, words, st.booleans()),
)


@given(facts)
def test_a_fact_survives_json_with_how_it_is_made(fact):
    back = fact_from_document(json.loads(json.dumps(fact_document(fact))))
    assert back == fact and repr(back) == repr(fact)


def test_how_it_is_made_is_no_part_of_what_it_is():
    assert Dataset("tank/a", options=(("quota", "1"),)) == Dataset("tank/a", create=False)
    assert Dataset("tank/a") != Dataset("tank/a", DatasetKind.VOLUME)


def test_a_look_keeps_its_placement():
    for placement in Placement:
        look = Observed(placement=placement, placement_why="because" if placement is Placement.STANDBY else "")
        assert observed_from_document(json.loads(json.dumps(observed_document(look)))) == look


def test_every_key_names_the_pool_and_what_it_rests_on():
    deep = Property("tank/a/b", "quota", "0")
    assert deep.key == ("property", "tank", "tank/a/b", "quota")
    assert rests_on(deep) == ("dataset", "tank", "tank/a/b")
    assert rests_on(Dataset("tank/a/b")) == ("dataset", "tank", "tank/a")
    assert rests_on(Dataset("tank")) == ("pool", "tank")
    assert rests_on(Pool("tank")) is None


def test_what_is_set_is_inherited_down_to_where_something_else_is_set():
    look = Observed(
        facts=facts_by_key(
            [
                Pool("tank"),
                *(Dataset(name) for name in ("tank", "tank/a", "tank/a/b", "tank/a/b/c", "tank/ab")),
                Property("tank", "mountpoint", "/tank", False),
                Property("tank/a", "mountpoint", "/tank/a", False),
                Property("tank/a/b", "mountpoint", "/else"),
                Property("tank/a/b/c", "mountpoint", "/else/c", False),
                Property("tank/ab", "mountpoint", "/tank/ab", False),
                Property("tank", "quota", "0", False),
                Property("tank/a", "quota", "0", False),
            ]
        )
    )
    after = predict(look, None, Property("tank", "mountpoint", "/srv"))
    points = {fact.dataset: fact.value for fact in after.facts.values() if getattr(fact, "name", "") == "mountpoint"}
    assert points == {
        "tank": "/srv",
        "tank/a": "/srv/a",
        "tank/a/b": "/else",
        "tank/a/b/c": "/else/c",
        "tank/ab": "/srv/ab",
    }
    after = predict(after, None, Property("tank/a", "quota", "10"))
    assert after.facts["property", "tank", "tank", "quota"] == Property("tank", "quota", "0", False)


def test_a_dataset_goes_with_its_properties_and_comes_with_them():
    made = predict(Observed(), None, Dataset("tank/a", options=((STAMP, "a"), ("quota", "10"))))
    assert set(made.facts.values()) == {
        Dataset("tank/a"),
        Property("tank/a", STAMP, "a"),
        Property("tank/a", "quota", "10"),
    }
    assert predict(made, Dataset("tank/a"), None).facts == {}


def test_when_a_property_is_as_desired():
    def why(seen, wanted):
        return need(wanted, {seen.key: seen}, {})

    wanted = Property("tank/a", "compression", "lz4")
    assert why(wanted, wanted) is None
    assert why(Property("tank/a", "compression", "lz4", False), wanted) == "inherited, not set here"
    assert why(Property("tank/a", "compression", "off"), wanted) is not None
    fixed = Property("tank/a", "volblocksize", "8192")
    assert why(Property("tank/a", "volblocksize", "8192", False), fixed) is None
    back = Property("tank/a", "compression", "off", False)
    assert why(Property("tank/a", "compression", "zstd", False), back) is None
    assert why(Property("tank/a", "compression", "off"), back) == "set here, inherited before"
