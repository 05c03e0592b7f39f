"""Facts as plain data: nothing is lost, and the digest tells facts apart."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.facts.codec import (
    digest,
    fact_document,
    fact_from_document,
    observed_document,
    observed_from_document,
)
from reconciler.core.facts.fact import (
    Address,
    BondMode,
    BondOptions,
    HashPolicy,
    LacpRate,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
    Route,
)
from reconciler.core.facts.host_setting import Hostname, Resolver
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Nic, Observed, Unknown, facts_by_key

words = st.text("abc01 é\x1b", max_size=5)
bonds = st.builds(
    BondOptions,
    st.sampled_from(BondMode),
    st.integers(0, 1000),
    st.sampled_from(HashPolicy),
    st.none() | st.sampled_from(LacpRate),
)
facts = st.one_of(
    st.builds(
        Link, words, st.sampled_from(LinkKind), st.none() | words, st.none() | st.integers(1, 4094), st.none() | bonds
    ),
    st.builds(Link, words, st.just(LinkKind.BRIDGE), stp=st.booleans()),
    st.builds(Port, words, words),
    st.builds(Power, words, st.booleans()),
    st.builds(Mtu, words, st.integers(68, 65535)),
    st.builds(Mark, words, words),
    st.builds(Address, words, words),
    st.builds(Route, words, st.none() | words, st.none() | words, st.integers(0, 2**32 - 1)),
    st.builds(Hostname, words),
    st.builds(Resolver, st.lists(words).map(tuple), st.lists(words).map(tuple)),
)


@given(facts)
def test_a_fact_survives_json(fact):
    back = fact_from_document(json.loads(json.dumps(fact_document(fact))))
    assert back == fact and repr(back) == repr(fact)


@given(st.lists(facts, unique_by=lambda fact: fact.key))
def test_a_look_survives_json(some):
    observed = Observed(
        facts=facts_by_key(some),
        owners={fact.key: Owner.AGENT for fact in some[:2]},
        nics={"eth0": Nic("eth0", "02:00:00:00:00:01", mtu_max=9000, carrier=True)},
        unknown=(Unknown(("route",), "timed out"),),
        managers={"eth0": ("NetworkManager",)},
    )
    assert observed_from_document(json.loads(json.dumps(observed_document(observed)))) == observed


@pytest.mark.parametrize(
    "document", [{}, {"fact": "moon"}, {"fact": "mtu", "link": "eth0"}, {"fact": "link", "name": "x", "kind": "tun"}]
)
def test_what_is_no_fact_is_refused(document):
    with pytest.raises((ValueError, KeyError, TypeError)):
        fact_from_document(document)


def test_the_digest_sees_every_value_absence_and_ignorance_and_nothing_else():
    one, other = Mtu("eth0", 1500), Mtu("eth1", 1500)
    looks = [
        Observed(facts=facts_by_key([one])),
        Observed(facts=facts_by_key([Mtu("eth0", 9000)])),
        Observed(),
        Observed(unknown=(Unknown(("mtu",), "timed out"),)),
    ]
    assert len({digest(look, [one.key]) for look in looks}) == len(looks)
    assert digest(Observed(facts=facts_by_key([one, other])), [one.key]) == digest(looks[0], [one.key, one.key])
    assert len(digest(looks[0], [one.key])) == 64
