"""Facts as plain data and back: `{"fact": "mtu", "link": "eth1", "size": 9000}`.

Decides the one canonical form that saved plans, journals and digests are written in. Does not know files or JSON text
beyond `json.dumps`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

from reconciler.core.facts.fact import BondOptions, Fact, Key
from reconciler.core.facts.fact_kind import Document
from reconciler.core.facts.fact_kinds import FACT_KINDS
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Facts, Nic, Observed, Origin, Placement, Unknown, facts_by_key


def fact_document(fact: Fact) -> Document:
    """One fact; fields that are None, and traits that it does not have, are left out."""
    document: Document = {"fact": fact.key[0]}
    for name in fact.__slots__:
        value = getattr(fact, name)
        if value is None or (name == "traits" and not value):
            continue
        if isinstance(value, BondOptions):
            value = {part: item for part in value.__slots__ if (item := getattr(value, part)) is not None}
        elif isinstance(value, tuple):
            value = list(value)
        document[name] = value
    return document


def fact_from_document(document: Document) -> Fact:
    """The fact of a document. Raises ValueError, KeyError or TypeError for anything else."""
    fields = dict(document)
    kind = FACT_KINDS[fields.pop("fact")]
    fact: Fact = kind.type(**(kind.read(fields) if kind.read is not None else fields))
    return fact


def facts_document(facts: Facts) -> list[Document]:
    """A set of facts in the order of their keys."""
    return [fact_document(facts[key]) for key in sorted(facts)]


def facts_from_document(documents: Iterable[Document]) -> Facts:
    """The set of facts of a list of documents."""
    return facts_by_key(fact_from_document(document) for document in documents)


def origin_document(origin: Origin) -> Document:
    """A place in the YAML."""
    return {name: getattr(origin, name) for name in Origin.__slots__}


def origin_from_document(document: Document) -> Origin:
    """The place of a document."""
    return Origin(document["file"], int(document["line"]), int(document["column"]), document["resource"])


def observed_document(observed: Observed) -> Document:
    """One look, lossless. Owners stand beside their facts as `[key, owner]`."""
    document = {
        "facts": facts_document(observed.facts),
        "owners": [[list(key), observed.owners[key].value] for key in sorted(observed.owners)],
        "nics": [_nic_document(observed.nics[nic]) for nic in sorted(observed.nics)],
        "unknown": [{"scope": list(part.scope), "why": part.why} for part in observed.unknown],
        "managers": {link: list(observed.managers[link]) for link in sorted(observed.managers)},
    }
    if observed.placement is not Placement.UNWATCHED:
        document["placement"] = {"is": observed.placement.value, "why": observed.placement_why}
    return document


def observed_from_document(document: Document) -> Observed:
    """The look of a document; parts that are left out are empty."""
    placement = document.get("placement", {})
    return Observed(
        facts=facts_from_document(document.get("facts", ())),
        owners=MappingProxyType({tuple(key): Owner(owner) for key, owner in document.get("owners", ())}),
        nics=MappingProxyType({nic["name"]: _nic(nic) for nic in document.get("nics", ())}),
        unknown=tuple(Unknown(tuple(part["scope"]), part["why"]) for part in document.get("unknown", ())),
        managers=MappingProxyType({link: tuple(names) for link, names in document.get("managers", {}).items()}),
        placement=Placement(placement.get("is", Placement.UNWATCHED)),
        placement_why=placement.get("why", ""),
    )


def _nic_document(nic: Nic) -> Document:
    document = {name: getattr(nic, name) for name in Nic.__slots__}
    if not document["altnames"]:
        del document["altnames"]
    else:
        document["altnames"] = list(nic.altnames)
    if document["ipv6"]:
        del document["ipv6"]
    return document


def _nic(document: Document) -> Nic:
    return Nic(**{**document, "altnames": tuple(document.get("altnames", ()))})


def digest(observed: Observed, keys: Iterable[Key]) -> str:
    """SHA-256, in hex, of what is observed under `keys`; a key that is absent or unknown counts as such."""
    lines: list[Any] = []
    for key in sorted(set(keys)):
        fact = observed.facts.get(key)
        answer: Any = fact_document(fact) if fact is not None else None
        if fact is None and observed.unknown and observed.why_unknown(key) is not None:
            answer = "unknown"
        lines.append([key, answer])
    text = json.dumps(lines, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
