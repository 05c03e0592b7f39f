"""Random pools: what is desired of their datasets, and what they may look like after anything that happened before."""

from dataclasses import replace
from types import MappingProxyType

from hypothesis import strategies as st

from reconciler.core.facts.fact import Fact
from reconciler.core.facts.prediction import Prediction
from reconciler.core.facts.state import Desired, Observed, Origin, Placement, facts_by_key
from reconciler.core.facts.storage import STAMP, Dataset, DatasetKind, Pool, PoolProperty, Property

POOLS = ("tank", "fast")
NAMES = ("tank/a", "tank/a/x", "tank/a/y", "tank/b", "fast/a", "fast/v")
VALUES = {
    "compression": ("off", "lz4", "zstd"),
    "atime": ("on", "off"),
    "mountpoint": ("none", "/srv/one", "/srv/two"),
    "quota": ("0", "1073741824", "2147483648"),
    "reservation": ("0", "1073741824"),
}
DEFAULTS = {"compression": "off", "atime": "on", "quota": "0", "reservation": "0"}


def bare(*pools: str) -> Observed:
    """A controller with these pools, empty."""
    facts: list[Fact] = []
    for pool in pools:
        facts += [Pool(pool), PoolProperty(pool, "autotrim", "off"), PoolProperty(pool, "ashift", "12")]
        facts.append(Dataset(pool))
        facts += [Property(pool, name, value, local=False) for name, value in DEFAULTS.items()]
        facts += [Property(pool, "mountpoint", f"/{pool}", local=False), Property(pool, STAMP, "", local=False)]
    return Observed(facts=facts_by_key(facts), placement=Placement.ACTIVE)


@st.composite
def desires(draw) -> Desired:
    """What a linted configuration compiles to: whatever is asked for has what is above it asked for, too."""
    facts: list[Fact] = []
    for pool in POOLS:
        trim = (("autotrim", draw(st.sampled_from(("on", "off")))),)
        facts.append(Pool(pool, draw(st.booleans()), (("", "disk", f"wwn-{pool}"),), trim))
        facts += [PoolProperty(pool, *trim[0])]
    chosen = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    destroyed = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2))
    for name in sorted(chosen):
        if name in destroyed or (name.count("/") > 1 and name.rpartition("/")[0] not in chosen):
            continue
        kind = DatasetKind.VOLUME if name.endswith("/v") else DatasetKind.FILESYSTEM
        options = {STAMP: name.replace("/", "-")}
        for prop in draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=3)):
            if prop != "mountpoint" or kind is DatasetKind.FILESYSTEM:
                options[prop] = draw(st.sampled_from(VALUES[prop]))
        facts.append(Dataset(name, kind, draw(st.booleans()), tuple(options.items())))
        facts += [Property(name, prop, value) for prop, value in options.items()]
    origins = {fact.key: Origin("storage.yaml", line, 1, f"Dataset/{fact.key[-1]}") for line, fact in enumerate(facts)}
    destroy = {("dataset", name.partition("/")[0], name): draw(st.booleans()) for name in destroyed}
    return Desired("a", facts_by_key(facts), origins=origins, destroy=MappingProxyType(destroy))


def filled(observed: Observed) -> Observed:
    """The look completed by what every dataset has: the properties that prediction leaves out for want of knowledge."""
    facts = dict(observed.facts)
    for fact in list(facts.values()):
        if isinstance(fact, Dataset):
            for name, value in DEFAULTS.items():
                facts.setdefault(("property", fact.key[1], fact.name, name), Property(fact.name, name, value, False))
            inherited = Property(fact.name, "mountpoint", f"/{fact.name}", False)
            facts.setdefault(("property", fact.key[1], fact.name, "mountpoint"), inherited)
    return replace(observed, facts=facts_by_key(facts.values()))


def by_hand(observed: Observed, fact: Fact) -> Observed:
    """Somebody sets or makes something."""
    prediction = Prediction(observed)
    prediction.perform(None, fact)
    return filled(prediction.observed())
