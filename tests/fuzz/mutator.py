"""Mutated inputs from a seed, for where no coverage-guided fuzzer is: flips, cuts, repeats, splices and known words."""

from collections.abc import Iterator
from random import Random

from tests.fuzz.targets import Target

KEPT = 64


def mutated(target: Target, seed: int, count: int) -> Iterator[bytes]:
    """`count` inputs. Each begins at one of the target's seeds or at a recent mutant, and suffers 1 to 4 changes."""
    chance = Random(seed)
    pool = list(target.seeds)
    for number in range(count):
        data = bytearray(chance.choice(pool))
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            change(data, target, chance)
        made = bytes(data[: target.bytes_max])
        if number % 16 == 0:
            if len(pool) < KEPT:
                pool.append(made)
            else:
                pool[chance.randrange(len(target.seeds), KEPT)] = made
        yield made


def change(data: bytearray, target: Target, chance: Random) -> None:
    """One change in place."""
    at = chance.randrange(len(data) + 1)
    until = min(len(data), at + chance.choice((1, 1, 2, 8, 64)))
    match chance.randrange(7):
        case 0 if data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        case 1 if data:
            data[at % len(data)] = chance.randrange(256)
        case 2:
            del data[at:until]
        case 3:
            data[at:at] = data[at:until]
        case 4 if target.words:
            data[at:at] = chance.choice(target.words)
        case 5 if target.words:
            word = chance.choice(target.words)
            data[at : at + len(word)] = word
        case _:
            other = chance.choice(target.seeds)
            data[at:until] = other[at:until]
