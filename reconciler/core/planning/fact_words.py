"""How facts read in plans and alerts: a name for the question, a value for the answer.

Each kind of fact brings its own words (`core/facts/fact_kind`); this module asks for them.
"""

from __future__ import annotations

from reconciler.core.facts.fact import Fact
from reconciler.core.facts.fact_kinds import kind_of


def fact_word(fact: Fact) -> str:
    """The one word for what a fact is about: `mtu`."""
    kind = kind_of(fact)
    return kind.label or kind.word


def fact_value(fact: Fact) -> str:
    """What the fact answers: `9000`, `up`, `10.0.0.0/8 via 10.0.0.1`."""
    return kind_of(fact).value(fact)


def fact_name(fact: Fact) -> str:
    """A fact in a sentence: `mtu of eth1`, `address 10.0.0.1/24 of eth1`."""
    return kind_of(fact).name(fact)


def change_value(before: Fact, after: Fact) -> str:
    """Live → desired, without repeating what stays."""
    about = kind_of(after).about
    new = fact_value(after)
    return f"{fact_value(before)} → {new.removeprefix(about(after)) if about is not None else new}"
