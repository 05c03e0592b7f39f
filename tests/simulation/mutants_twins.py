"""Seeded bugs about machines that believe to be one controller, and about another pair on the same shelf."""

from tests.simulation.mutants_model import Mutant

TWINS = (
    Mutant(
        "keys-without-a-machine",
        "key",
        "pair_tag(pair) << MACHINE_BITS | machine_tag(machine)",
        "pair_tag(pair) << MACHINE_BITS | machine_tag(1)",
        "gives every machine the same tag: the twin of a controller registers with its key, and both verify the fence",
    ),
    Mutant(
        "fence-with-a-twin-inside",
        "reservation_state",
        "view.registered == {key} and not view.surplus\n",
        "view.registered == {key}\n",
        "compares registrations as a set: another machine that bears our very key can write, and both import",
        covered="a claim gives a disk up as soon as a look shows its own key on another machine",
    ),
    Mutant(
        "claim-beside-its-own-key",
        "claim",
        "return view.surplus > 0 or newest > mine",
        "return newest > mine",
        "registers where another machine bears the key of this claim already: two that neither can remove",
        covered="no fence is verified over a disk where another machine bears our key",
    ),
    Mutant(
        "another-pair-is-read-as-ours",
        "reservation_state",
        "    if not others:\n        return view\n",
        "    return view\n",
        "takes the keys of another pair for those of its own controllers: a commit that names one of its disks moves "
        "the pools",
    ),
    Mutant(
        "another-pair-is-over",
        "key",
        "    return not key.epoch >> TAG_BITS or _pair_bits(key) == _pair_bits(mine)\n",
        "    return True\n",
        "removes the registration of another pair that counts fewer claims: fences it on a disk that it uses",
    ),
    Mutant(
        "claims-on-another-unit",
        "inhibitors",
        "    return state.unit is not None and state.unit.code is Code.OTHER_UNIT\n",
        "    return False\n",
        "lets a person force a machine whose serial number is not that of the controller",
        covered="the agent publishes no orders on another unit",
    ),
    Mutant(
        "claims-beside-a-twin",
        "twins",
        "    return twin is not None and twin.alive and now_ms - twin.heard_ms < quiet_ms(timers)\n",
        "    return False\n",
        "hears another machine that says it is this controller, and claims all the same, for a person even",
    ),
    Mutant(
        "gives-the-holder-no-time",
        "twins",
        "    return now_ms - state.alone_ms < quiet_ms(state.orders.timers)\n",
        "    return False\n",
        "takes every reservation of its side for one of its own earlier life: a clone that boots fences the controller "
        "that serves",
    ),
    Mutant(
        "elects-on-the-word-of-a-clone",
        "standby",
        "    if owner_unheard(state, now_ms):\n        return None\n",
        "",
        "believes the clone of the active controller that nobody serves, and takes the pools from it",
    ),
    Mutant(
        "a-clone-silences-the-peer",
        "twins",
        "    return moved and all(now_ms - heard_ms >= silence_ms for heard_ms in peer.heard_ms[:-1])\n",
        "    return False\n",
        "never hears the peer again once a clone of it with newer numbers has spoken: no switchover, false silence",
    ),
)
