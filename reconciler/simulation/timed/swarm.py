"""Seeded random runs: faults first and safety throughout, then everything heals and service must come back in time.

A seed determines the whole run: its pair, its faults, every delay. `run` plays one, `shrink` finds the fewest of its
faults that still break the same invariant. Does not know processes or files; the command line and the tests have those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from reconciler.core.failover.machine.events import Asked, Request
from reconciler.core.failover.machine.liveness_bound import Bound, settled_bound
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.orders.orders import Channel, ChannelKind, Group, Limits, Orders, Timers, Vdev
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.timed.controller_files import YEAR
from reconciler.simulation.timed.faults import FAULTS, choices, heal, heal_everything, inject
from reconciler.simulation.timed.servers import PROTOCOLS
from reconciler.simulation.timed.world import SIDES, Note, Physics, World

#: Timers of the runs: the defaults' proportions, with fewer beats and shorter waits, so that a second has more events.
QUICK: Final = Timers(
    beat_ms=300, silence_ms=1_200, record_ms=400, stale_ms=1_800, look_ms=400, proof_ms=1_600, pause_ms=500,
    settle_ms=500, claim_ms=4_000, import_ms=8_000, release_ms=3_000, handover_ms=3_000, boot_ms=3_000, yield_ms=6_000,
    retry_ms=1_000, again_ms=6_000, deadman_ms=2_000, patience_ms=15_000,
)  # fmt: skip
#: Machines of the runs: they boot fast, so that two resets fit into one run.
MACHINES: Final = Physics(
    boot_ms=(1_500, 4_000), import_ms=(300, 1_500), restart_ms=(100, 1_000), handover_ms=(1, 900), write_ms=300
)
#: No budget and no stay after resets: service must come back without a person.
UNLIMITED: Final = Limits(moves=100_000, resets=100_000)
FAULTS_MIN, FAULTS_MAX = 20, 80
#: This many acknowledged writes in a row count as service.
STREAK: Final = 6
#: Time that real machines and clients add to the bound of the orders.
PATIENCE_MS: Final = 2_000

_DRAWN: Final = tuple(sorted(name for name, fault in FAULTS.items() if fault.assumed and fault.drawn))


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault of a run: when, which, and for how long. A fault that ends by itself ignores the duration."""

    at_ms: int
    name: str
    words: tuple[str, ...]
    lasts_ms: int

    def __str__(self) -> str:
        return f"{self.at_ms / 1000:8.3f} s  {' '.join((self.name, *self.words))}, for {self.lasts_ms} ms"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One complete run. `survivor` None: both controllers are healed; otherwise the other one stays off."""

    seed: int
    orders: Orders
    physics: Physics
    injections: tuple[Injection, ...]
    survivor: Side | None
    protocols: tuple[str, ...] = ()

    @property
    def end_ms(self) -> int:
        """Return the moment, in milliseconds, at which everything heals."""
        return self.injections[-1].at_ms + 500 if self.injections else 20_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a run. `broken`: the invariant, or empty.

    `person`: service came back only after a person asked for it. `limited`: the orders had a budget of moves, which may
    have been used up.
    """

    seed: int
    broken: str
    faults: int
    simulated_ms: int
    steps: int
    writes: int
    stale: int
    longest_ms: int
    healed_ms: int
    person: bool
    limited: bool
    notes: tuple[Note, ...] = ()


def luck(seed: int) -> Random:
    """Return a random generator that repeats itself for the same seed."""
    return Random(seed)


def draw(seed: int) -> Scenario:
    """Return the run of a seed."""
    chance = Random(seed)
    orders = _draw_orders(chance)
    report = (100, 900) if chance.random() < 0.3 else None
    physics = replace(MACHINES, report_ms=report)
    protocols = PROTOCOLS if chance.random() < 0.6 else ()
    world = World(orders, chance, physics, power=False, protocols=protocols)
    drawn = tuple(name for name in _DRAWN if protocols or "protocol" not in FAULTS[name].takes)
    injections, at_ms = [], 4_000
    pace_ms = chance.choice((60, 200, 500, 900))
    favourites = tuple(chance.choice(drawn) for _ in range(6)) if chance.random() < 0.5 else ()
    for _ in range(chance.randint(FAULTS_MIN, FAULTS_MAX)):
        at_ms += int(chance.expovariate(1 / pace_ms))
        name = chance.choice(favourites if favourites and chance.random() < 0.7 else drawn)
        words = tuple(_word(chance, world, kind) for kind in FAULTS[name].takes)
        injections.append(Injection(at_ms, name, words, int(chance.expovariate(1 / (pace_ms * 4)))))
    survivor = chance.choice(SIDES) if chance.random() < 0.4 else None
    return Scenario(seed, orders, physics, tuple(injections), survivor, protocols)


def _word(chance: Random, world: World, kind: str) -> str:
    if kind == "ms":
        return str(chance.choice((50, 150, 400, 1_000, 3_000)))
    return chance.choice(choices(world, kind))


def _draw_orders(chance: Random) -> Orders:
    """Draw a pair that differs in what decisions depend on: layout, one pool or two, groups, strictness, limits."""
    shelf = chance.choice(
        (
            ((Vdev("tank/mirror", (0, 1), 1), Vdev("tank/alone", (2,), 1)), 3),
            ((Vdev("tank/mirror", (0, 1), 1), Vdev("data/mirror", (2, 3), 1)), 4),
            ((Vdev("tank/raidz", (0, 1, 2), 2), Vdev("tank/log", (3, 4), 1)), 5),
        )
    )
    vdevs, count = shelf
    carp = tuple(Channel(name, ChannelKind.CARP) for name in ("net0", "net1")[: chance.randint(1, 2)])
    groups = chance.choice(
        ((), (Group(1, ("net0",)),), (Group(1, ("net0", "net1")),), (Group(1, ("net0",)), Group(2, ("net1",))))
    )
    free = chance.random() < 0.7
    return Orders(
        pair="swarm",
        side=Side.A,
        generation=1,
        controllers=("a", "b"),
        disks=tuple(f"disk{at}" for at in range(count)),
        vdevs=vdevs,
        arbitration=(0, 1, 2),
        channels=(Channel("interlink"), *carp),
        groups=groups,
        default=chance.choice(SIDES),
        strict=chance.random() < 0.3,
        timers=QUICK,
        limits=UNLIMITED if free else Limits(2, 60_000, 2, 60_000),
    )


def run(scenario: Scenario, *, notes: bool = False) -> Outcome:
    """Play a run: faults, then healing, then service within the bound."""
    chance = Random(scenario.seed ^ 0x5EED)
    protocols = scenario.protocols
    world = World(scenario.orders, chance, scenario.physics, notes=notes, machines=True, protocols=protocols)
    for injection in scenario.injections:
        world.later(injection.at_ms, lambda one: _inject(world, one), injection)
    world.run(scenario.end_ms)
    person, healed_ms = False, 0
    if not world.broken:
        person, healed_ms = _recovers(world, scenario)
    client = world.client
    return Outcome(
        seed=scenario.seed,
        broken=world.broken,
        faults=len(scenario.injections),
        simulated_ms=world.now_ms,
        steps=world.steps,
        writes=client.number,
        stale=client.stale,
        longest_ms=max(client.waits_ms, default=0),
        healed_ms=healed_ms,
        person=person,
        limited=scenario.orders.limits != UNLIMITED,
        notes=tuple(world.notes or ()),
    )


def _inject(world: World, injection: Injection) -> None:
    inject(world, injection.name, injection.words)
    if FAULTS[injection.name].heal is not None:
        world.later(injection.lasts_ms, lambda one: heal(world, one.name, one.words), injection)


def liveness_bound(orders: Orders, physics: Physics, *, shares: bool = False) -> Bound:
    """Return how long service may take to come back after healing: the orders' bound, a boot, and a restart."""
    settled = settled_bound(orders, shares=shares)
    machine = ("a machine boots, a daemon restarts, a client asks again",
               physics.boot_ms[1] + physics.restart_ms[1] + PATIENCE_MS)  # fmt: skip
    return replace(settled, parts=(*settled.parts, machine))


def _recovers(world: World, scenario: Scenario) -> tuple[bool, int]:
    """Heal, and wait for service. If the orders keep both controllers still, a person asks for it.

    Returns whether a person had to ask, and the wait in milliseconds.
    """
    bound_ms = liveness_bound(scenario.orders, scenario.physics, shares=bool(scenario.protocols)).total_ms
    without = scenario.survivor.other if scenario.survivor else None
    world.publish(enabled=True)
    heal_everything(world, without=without)
    begun_ms = world.now_ms
    for one in world.controllers:
        one.told(Asked(Request.RELENT))
    if _served(world, bound_ms) or world.broken:
        return False, world.now_ms - begun_ms
    if scenario.orders.limits == UNLIMITED:
        world.checkers.fails("service", f"no service {bound_ms} ms after everything healed; {where(world)}")
        return False, bound_ms
    if _person(world, bound_ms) or world.broken:
        return True, world.now_ms - begun_ms
    world.checkers.fails("recovery", f"a person asked every healthy controller in vain; {where(world)}")
    return True, world.now_ms - begun_ms


def _served(world: World, within_ms: int) -> bool:
    """Whether a client is served steadily within `within_ms`."""
    end_ms = world.now_ms + within_ms
    world.client.streak = 0
    while world.now_ms < end_ms and not world.broken:
        world.run(min(end_ms, world.now_ms + 500))
        if world.client.streak >= STREAK:
            return True
    return False


def _person(world: World, bound_ms: int) -> bool:
    """A person asks one controller after the other to take the pools, and waits each time."""
    for _ in range(3):
        for one in world.controllers:
            if one.core is not None and one.core.phase in (Phase.STANDBY, Phase.RELEASING):
                one.told(Asked(Request.FORCE))
            if _served(world, bound_ms // 3):
                return True
    return False


def where(world: World) -> str:
    """Return the phases of both controllers in a line."""
    words = []
    for one in world.controllers:
        phase = "off" if not one.on else "no daemon" if one.core is None else f"{one.core.phase}: {one.core.why}"
        words.append(f"{one.side} {phase}, pools {one.kernel.pools}")
        words[-1] += "".join(f", {name} {state}" for name, state in one.kernel.servers.states.items())
    return "; ".join(words)


def shrink(scenario: Scenario, runs_max: int = 2_000) -> Scenario:
    """Return the run with the fewest faults that still breaks the same invariant (delta debugging, Zeller 2002)."""
    wanted = run(scenario).broken.partition(":")[0]
    kept, parts, runs = list(scenario.injections), 2, 0
    end_ms = scenario.end_ms
    while len(kept) >= 1 and parts <= len(kept) * 2 and runs < runs_max:
        size = max(1, len(kept) // parts)
        for start in range(0, len(kept), size):
            fewer = kept[:start] + kept[start + size :]
            runs += 1
            # A fault without an effect (it sets the right year) keeps the end of the run where it was.
            tried = replace(scenario, injections=(*fewer, Injection(end_ms - 500, "wall-clock", ("a", str(YEAR)), 0)))
            if wanted and run(tried).broken.partition(":")[0] == wanted:
                kept, parts = fewer, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(kept), parts * 2)
    return replace(scenario, injections=(*kept, Injection(end_ms - 500, "wall-clock", ("a", str(YEAR)), 0)))


def report(scenario: Scenario, outcome: Outcome) -> str:
    """Return a failing run for a person: what broke, the fewest faults, the timeline, and how to see it again."""
    smallest = shrink(scenario)
    shown = run(smallest, notes=True)
    lines = [
        f"seed {scenario.seed}: {outcome.broken}",
        f"the fewest faults that break it ({len(smallest.injections) - 1} of {len(scenario.injections)}):",
        *(f"  {injection}" for injection in smallest.injections[:-1]),
        "timeline:",
        *(f"  {note.at_ms / 1000:8.3f}  {note.who:6}  {note.text}" for note in shown.notes),
        f"again: HAGIT_SWARM_SEED={scenario.seed} python -m pytest tests/simulation/test_swarm.py -k one_seed",
    ]
    return "\n".join(lines)
