"""Seeded bugs around servers of shares: addresses before them, pools under them, and servers that nobody ends."""

from tests.simulation.mutants_model import Mutant

# Fragments are whole lines of the core, quoted and indented once more.
# ruff: noqa: E501

SHARES = (
    Mutant(
        "address-before-the-servers",
        "outputs",
        "return not state.looks.served and now_ms - state.since_ms",
        "return state.looks.stopped and now_ms - state.since_ms",
        "takes a server that starts for one that serves: clients find the address and take an error for an answer",
    ),
    Mutant(
        "address-after-the-first-server",
        "events",
        "served=all(one.served for one in each)",
        "served=any(one.served for one in each)",
        "the address answers when the first protocol is served: clients of the other one get errors",
    ),
    Mutant(
        "address-waits-for-ever",
        "outputs",
        "return not state.looks.served and now_ms - state.since_ms < serve_ms(state.orders)",
        "return not state.looks.served",
        "one server that does not start keeps all others from their clients",
    ),
    Mutant(
        "address-waits-from-the-claim",
        "outputs",
        "return not state.looks.served and now_ms - state.since_ms < serve_ms(state.orders)",
        "return not state.looks.served and state.fenced_ms is not None and now_ms - state.fenced_ms < serve_ms(state.orders)",
        "counts the wait from a moment that the import has cleared: the address does not wait at all",
    ),
    Mutant(
        "unserved-is-not-told",
        "reasons",
        "    if phase is Phase.ACTIVE and not looks.served:\n        waited_ms",
        "    if phase is Phase.ACTIVE and not looks.served and late(state, now_ms):\n        waited_ms",
        "tells only of the wait: a share that stays away after it is nowhere to be seen",
    ),
    Mutant(
        "export-under-a-server",
        "outputs",
        "    if not looks.stopped and Thing.POOLS not in wanted | kept:\n",
        "    if looks.served and Thing.POOLS not in wanted | kept:\n",
        "takes a server that stops for one that has stopped: the export finds its filesystems in use, or panics a thread",
    ),
    Mutant(
        "export-forgets-the-servers",
        "outputs",
        "        kept |= {Thing.POOLS}\n    key",
        "        kept |= {Thing.SHARES}\n    key",
        "keeps the servers in place of the pools: exports under them, and nobody ends them",
    ),
    Mutant(
        "import-waits-for-the-servers",
        "outputs",
        "    if not looks.stopped and Thing.POOLS not in wanted | kept:\n",
        "    if not looks.stopped:\n        wanted -= {Thing.POOLS}\n",
        "imports nothing beside a server that does not stop: a stop that hangs takes every other server along",
    ),
    Mutant(
        "release-forgets-one-protocol",
        "events",
        "stopped=all(one.stopped for one in each)",
        "stopped=any(one.stopped for one in each)",
        "exports when the first server has stopped: the other one still uses the pools",
    ),
    Mutant(
        "release-keeps-the-servers",
        "phase",
        '            "no new client is served; pools are being exported; the reservation is ours until the peer takes it",\n'
        "            ControllerRole.BACKUP,\n",
        '            "no new client is served; pools are being exported; the reservation is ours until the peer takes it",\n'
        "            ControllerRole.BACKUP,\n"
        "            kept=frozenset({Thing.SHARES}),\n",
        "leaves the servers to the export: it waits for them until the reset",
    ),
    Mutant(
        "active-forgets-the-servers",
        "phase",
        "            ControllerRole.MASTER,\n            EVERYTHING,\n",
        "            ControllerRole.MASTER,\n            frozenset({Thing.POOLS, Thing.ADDRESSES}),\n",
        "imports and answers, and nothing serves what was imported",
    ),
    Mutant(
        "servers-during-the-import",
        "phase",
        "            ControllerRole.IMPORTING,\n            frozenset({Thing.POOLS}),\n",
        "            ControllerRole.IMPORTING,\n            frozenset({Thing.POOLS, Thing.SHARES}),\n",
        "starts and keeps servers before all pools are imported: those of pools that have vanished never end",
    ),
    Mutant(
        "hand-over-under-a-server",
        "owner",
        "return state.looks.pools in GONE and state.looks.stopped",
        "return state.looks.pools in GONE",
        "pools that were exported by force are handed over while a server here still answers under the shared name",
    ),
    Mutant(
        "late-wake-stops-the-servers",
        "outputs",
        "wanted, kept = frozenset(), EVERYTHING - {Thing.ADDRESSES}",
        "wanted, kept = frozenset(), frozenset({Thing.POOLS})",
        "a pause of the daemon costs every client its state: the servers end and start again",
    ),
    Mutant(
        "restart-stops-the-servers",
        "phase",
        "            ControllerRole.ELECTING,\n            kept=EVERYTHING,\n",
        "            ControllerRole.ELECTING,\n            kept=frozenset({Thing.POOLS, Thing.ADDRESSES}),\n",
        "a new daemon begins by ending the servers behind addresses that answer",
    ),
    Mutant(
        "servers-are-not-looked-at",
        "event_effects",
        "        stopped=seen.stopped,\n",
        "        stopped=looks.stopped,\n",
        "never learns that a server runs: exports the pools under it",
    ),
)
