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
        "hold",
        "view.registered == {key} and not view.surplus\n",
        "view.registered == {key}\n",
        "compares registrations as a set: another machine that bears our very key can write, and both import",
    ),
    Mutant(
        "another-pair-is-read-as-ours",
        "hold",
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
)
