"""The real adapter makes, changes and removes bonds, VLANs and bridges, each change as predicted."""

from __future__ import annotations

from reconciler.core.facts.fact import BondMode, BondOptions, HashPolicy, LacpRate, Link, LinkKind, Port
from tests.lab.machine import Machine
from tests.lab.stack import STACK, making, perform, taking


def test_every_bond_mode_is_made_and_read(crossed: Machine) -> None:
    changes = []
    for mode in BondMode:
        rate = LacpRate.SLOW if mode is BondMode.LACP else None
        bond = Link("bond0", LinkKind.BOND, bond=BondOptions(mode, 50, lacp_rate=rate))
        changes += [*making([bond, Port("eth0", "bond0")]), ("remove", bond)]
    _, surprises = perform(crossed, changes)
    assert not surprises, "\n".join(surprises)


def test_options_of_a_bond_in_use_change_in_place(crossed: Machine) -> None:
    wanted = Link("bond0", LinkKind.BOND, bond=BondOptions(BondMode.LACP, 250, HashPolicy.LAYER23, LacpRate.FAST))
    look, surprises = perform(crossed, making([*STACK, wanted]))
    assert (look.facts[wanted.key], surprises) == (wanted, [])


def test_everything_can_be_taken_away_again(crossed: Machine) -> None:
    after, surprises = perform(crossed, [*making(STACK), *taking(STACK)])
    assert not {"bond0", "bond0.7", "storage"} & set(after.nics)
    assert ("port", "eth0") not in after.facts
    # The prediction does not cover the MTU that a bond's member or a bridge returns to: no fact has the old one.
    assert not [text for text in surprises if ": predicted Mtu(" not in text]
