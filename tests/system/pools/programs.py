"""`zpool` and `zfs` in Python: programs with the arguments and the words of the real ones, over a FakePools in a file.

python -m tests.system.pools.programs zfs STATE get -Hp all tank
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from reconciler.core.facts.codec import fact_document, fact_from_document
from reconciler.core.facts.fact import Fact
from reconciler.core.facts.storage import STAMP, Dataset, DatasetKind, Pool, PoolProperty, Property
from reconciler.errors import PerformError
from reconciler.simulation.fake_pools import FakePools

ROOT = Path(__file__).parents[3]
#: What the words of `zpool create` are for, when they stand before disks.
ROLES, KINDS = ("special", "dedup", "log", "cache", "spare"), ("mirror", "raidz1", "raidz2", "raidz3")

#: Every pool is of the same two disks.
_STATUS = """\
  pool: {0}
 state: ONLINE
config:

\tNAME  STATE  READ WRITE CKSUM
\t{0}  ONLINE  0  0  0
\t  mirror-0  ONLINE  0  0  0
\t    /dev/disk/by-id/wwn-0x5000c500a1b2c301  ONLINE  0  0  0
\t    /dev/disk/by-id/wwn-0x5000c500a1b2c302  ONLINE  0  0  0

errors: No known data errors
"""


def install(directory: Path, *pools: str) -> Path:
    """Put programs `zpool` and `zfs` into a directory, with these pools; returns the file of their state."""
    directory.mkdir(parents=True)
    state = directory / "state.json"
    save(state, FakePools(*pools))
    for name in ("zpool", "zfs"):
        program = directory / name
        command = f"exec {sys.executable} -m {__name__} {name} {state}"
        program.write_text(f'#!/bin/sh\nexport PYTHONPATH="{ROOT}"\n[ ! -e {state}.fail ] || exit 1\n{command} "$@"\n')
        program.chmod(0o755)
    return state


def load(state: Path) -> FakePools:
    """The pools in the file."""
    fake = FakePools()
    for document in json.loads(state.read_text()):
        fact = fact_from_document(document)
        fake.facts[fact.key] = fact
    return fake


def save(state: Path, fake: FakePools) -> None:
    """Put the pools into the file."""
    fresh = state.with_suffix(".new")
    fresh.write_text(json.dumps([fact_document(fact) for fact in fake.facts.values()]))
    fresh.rename(state)


def main(program: str, state: Path, *words: str) -> str:
    """What the program prints. Raises PerformError for what it refuses."""
    fake = load(state)
    command, *rest = words
    flags, names = _parse(rest)
    if command == "get":
        return _get(fake, program, flags, names)
    if command == "status":
        return "".join(_STATUS.format(fact.name) for fact in fake.facts.values() if isinstance(fact, Pool))
    for before, after in _deeds(fake, program, command, flags, names):
        fake.perform(before, after)
    save(state, fake)
    return ""


def _parse(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Options with their values, and what is none."""
    flags: dict[str, list[str]] = {}
    names = []
    waiting = iter(words)
    for word in waiting:
        if word in ("-o", "-O", "-V", "-t"):
            flags.setdefault(word, []).append(next(waiting))
        elif word.startswith("-"):
            flags[word] = []
        else:
            names.append(word)
    return flags, names


def _pairs(words: Iterable[str]) -> tuple[tuple[str, str], ...]:
    pairs = (word.partition("=")[::2] for word in words)
    none = ("quota", "refquota", "reservation", "refreservation")
    return tuple((name, "0" if name in none and value == "none" else value) for name, value in pairs)


def _deeds(
    fake: FakePools, program: str, command: str, flags: dict[str, list[str]], names: list[str]
) -> Iterable[tuple[Fact | None, Fact | None]]:
    options = _pairs(flags.get("-o", ()))
    if program == "zpool" and command == "create":
        own = tuple(pair for pair in options if pair[0] not in ("cachefile", "failmode"))
        assert ("cachefile", "none") in options, "a pool that boots would import by itself"
        yield None, Pool(names[0], True, _vdevs(names[1:]), own, _pairs(flags.get("-O", ())))
    elif program == "zpool":
        name, value = _pairs(names)[0]
        yield None, PoolProperty(names[1], name, value)
    elif command == "create":
        size = (("volsize", flags["-V"][0]),) if "-V" in flags else ()
        yield None, Dataset(names[0], DatasetKind.VOLUME if size else DatasetKind.FILESYSTEM, True, (*options, *size))
    elif command == "set":
        yield from ((None, Property(names[-1], name, value)) for name, value in _pairs(names[:-1]))
    elif command == "inherit":
        yield None, Property(names[1], names[0], "", local=False)
    else:
        assert command == "destroy" and "-r" not in flags
        kind = fake.facts.get(Dataset(names[0]).key, Dataset(names[0]))
        yield kind, None


def _vdevs(words: list[str]) -> tuple[tuple[str, ...], ...]:
    vdevs: list[list[str]] = []
    role = ""
    for word in words:
        if word in ROLES:
            role = word
            vdevs.append([role])
        elif word in KINDS:
            vdevs.append([role, word])
        elif vdevs and len(vdevs[-1]) > 1 and vdevs[-1][1] in KINDS:
            vdevs[-1].append(Path(word).name)
        else:
            vdevs.append([role, "disk", Path(word).name])
    return tuple(tuple(vdev) for vdev in vdevs if len(vdev) > 1)


def _get(fake: FakePools, program: str, flags: dict[str, list[str]], names: list[str]) -> str:
    wanted = None if names[0] == "all" else names[0].split(",")
    lines = []
    if program == "zpool":
        for fact in fake.facts.values():
            if isinstance(fact, PoolProperty) and fact.pool in (names[1:] or [fact.pool]):
                lines.append((fact.pool, fact.name, fact.value or "-", "local"))
        _must_be(bool(lines) or not names[1:], f"cannot open '{''.join(names[1:])}': no such pool")
    else:
        lines = list(_dataset_lines(fake, wanted, names[1], "-r" in flags))
        _must_be(bool(lines), f"cannot open '{names[1]}': dataset does not exist")
    return "".join("\t".join(line) + "\n" for line in lines)


def _dataset_lines(
    fake: FakePools, wanted: list[str] | None, name: str, below: bool
) -> Iterable[tuple[str, str, str, str]]:
    for dataset in [fact for fact in fake.facts.values() if isinstance(fact, Dataset)]:
        if dataset.name != name and not (below and dataset.name.startswith(f"{name}/")):
            continue
        facts = [fact for fact in fake.facts.values() if isinstance(fact, Property) and fact.dataset == dataset.name]
        lines = {"type": (str(dataset.kind), "-")}
        lines |= {fact.name: (fact.value, "local" if fact.local else "default") for fact in facts if fact.value}
        for word in wanted if wanted is not None else lines:
            value, source = lines.get(word, ("-", "-"))
            if word != STAMP or source != "default":
                yield dataset.name, word, value, source


def _must_be(condition: bool, why: str) -> None:
    if not condition:
        raise PerformError(why)


if __name__ == "__main__":
    try:
        print(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]), end="")
    except PerformError as error:
        sys.exit(error.what)
