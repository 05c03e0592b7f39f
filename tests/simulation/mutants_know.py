"""Seeded bugs in what is known: heartbeats, looks, late wakes, orders, and what a daemon finds when it starts."""

from tests.simulation.mutants_model import Mutant

# Fragments are whole lines of the core, quoted and indented once more.
# ruff: noqa: E501

KNOW = (
    Mutant(
        "echo-ignored", "failure_detector",
        "(beat.echo != state.incarnation)",
        "False",
        "takes beats that answer an earlier life of this daemon: recorded datagrams keep a dead peer alive",
    ),
    Mutant(
        "life-must-be-decoded", "event_effects",
        "return replace(state, peer=changed(state.peer, now_ms))",
        "return state",
        "a record that changes under another seal is no sign of life: a mistyped secret has a healthy controller fenced",
    ),
    Mutant(
        "life-must-be-new", "record_slots",
        "        old is not None and new is not None and new != old and",
        "        new is not None and",
        "takes what lies undecodable on the disks for a sign of life: what a dead peer left there keeps it alive",
    ),
    Mutant(
        "undecoded-peer-stays-dead", "failure_detector",
        "        ever=True,\n        dead=False,\n        proven=False,\n        unable_ms=None,\n        undecoded_ms=now",
        "        ever=True,\n        unable_ms=None,\n        undecoded_ms=now",
        "a peer that died and came back with another secret stays dead: its pools are taken as soon as it serves again",
    ),
    Mutant(
        "old-word-of-an-undecoded-peer", "standby",
        "    if undecoded(state, now_ms):\n"
        "        # The peer lives. Its last readable beat is too old to count as a hand-over.\n"
        "        return None\n",
        "",
        "believes what the peer said before its record could no longer be decoded: takes a hand-over that is long over",
    ),
    Mutant(
        "replay-accepted", "failure_detector",
        "    if last is not None and stamp <= last:\n        return state\n",
        "",
        "takes old beats for new ones: a dead peer goes on living, a living one tells of yesterday",
    ),
    Mutant(
        "record-alive-at-first-sight", "failure_detector",
        "if (last is None) if disk else",
        "if False if disk else",
        "takes a record that lies on the disk for a sign of life before it has moved: what a dead peer wrote last lives",
    ),
    Mutant(
        "record-not-sealed-by-its-counter", "failure_detector",
        "    if last is not None and stamp <= last:",
        "    if last is not None and stamp <= last and channel < len(peer.last) - 1:",
        "takes a record for alive each time it is read, moved or not: nobody ever takes over from a dead owner",
    ),
    Mutant(
        "compares-wall-clocks", "failure_detector",
        "lived_ms = now_ms if disk or newest else max(peer.heard_ms)",
        "lived_ms = beat.counter * state.orders.timers.beat_ms",
        "takes the age of a beat from the sender's clock: takes over from a living peer whose clock is behind",
    ),
    Mutant(
        "overtaken-beats-prolong-life", "failure_detector",
        "    lived_ms = now_ms if disk or newest else max(peer.heard_ms)\n"
        "    heard_ms = _put(peer.heard_ms, channel, lived_ms)\n"
        '    assert disk or newest or max(heard_ms) == max(peer.heard_ms), "an overtaken beat prolongs no life"\n',
        "    heard_ms = _put(peer.heard_ms, channel, now_ms)\n",
        "beats that an attacker holds back on one channel, and lets go one by one, keep a dead peer alive",
    ),
    Mutant(
        "every-epoch-is-believed", "key",
        "return epoch >> TAG_BITS <= max(COUNTER_HEARD_MAX, highest >> TAG_BITS)",
        "return True",
        "one beat under a leaked secret names the last epoch: no controller claims any more",
    ),
    Mutant(
        "one-silent-channel-is-silence", "failure_detector",
        "return bool(heard) and all(now_ms",
        "return bool(heard) and any(now_ms",
        "one pulled cable counts as a dead network: alarms of isolation that is none",
    ),
    Mutant(
        "one-silent-channel-is-death", "failure_detector",
        "return state.peer.lately and any(now_ms",
        "return state.peer.lately and all(now_ms",
        "hears the peer only when every channel carries: a pulled cable forbids every hand-over",
    ),
    Mutant(
        "network-timeout-ignored", "failure_detector",
        "    bound_ms = timers.silence_ms + timers.network_ms\n",
        "    bound_ms = timers.silence_ms\n",
        "does not wait out the network timeout of the orders: a switch that reboots moves the pools",
    ),
    Mutant(
        "dead-for-ever", "failure_detector",
        "dead=(beat.dying or beat.phase is Phase.HALTED) if newest else peer.dead,",
        "dead=peer.dead or beat.dying or beat.phase is Phase.HALTED,",
        "a peer that once died stays dead although it beats: its pools are taken as soon as it serves again",
    ),
    Mutant(
        "proof-for-ever", "failure_detector",
        "proven=peer.proven and not newest,",
        "proven=peer.proven,",
        "a peer that once was proven dead stays so although it serves again: when it stops, its writes are not waited for",
    ),
    Mutant(
        "last-word-not-heard", "failure_detector",
        "dead=(beat.dying or beat.phase is Phase.HALTED) if newest else peer.dead,",
        "dead=False if newest else peer.dead,",
        "does not read the last word of a peer that panics: clients wait for a silence that was announced",
    ),
    Mutant(
        "old-beats-overwrite-new-ones", "failure_detector",
        "beat=beat if newest else peer.beat,",
        "beat=beat,",
        "keeps the beat that came last, not the newest: a late datagram says that the peer is standby when it is active",
    ),
    Mutant(
        "stale-without-looking", "failure_detector",
        "        looks.sees\n        and looks.shelf_ms is not None\n        and now_ms - looks.shelf_ms < state.orders.timers."
        "stale_ms\n        and now_ms",
        "        now_ms",
        "a record that it could not read is stale: whoever lost its disks takes over",
        covered="`ready` (compare) asks the very same of the disks before any claim, and nothing else takes over for a stale record",
    ),
    Mutant(
        "staleness-counts-from-before-the-disks-came-back", "event_effects",
        "peer = watch_disks(state.peer, now_ms) if verdict.sees and not looks.sees else state.peer",
        "peer = state.peer",
        "counts the time when it could not read the record as silence: takes over from a peer that wrote all the while",
    ),
    Mutant(
        "claims-are-no-sign-of-life", "event_effects",
        "        peer = claimed(peer, now_ms)\n",
        "        pass\n",
        "does not see that the peer has just claimed: fences it before its first record",
    ),
    Mutant(
        "strict-in-spite-of-a-proof", "event_effects",
        "proven=True), answer_ms=None)",
        "proven=True))",
        "clients wait for the deadman of a controller that has no power: they give up for nothing",
    ),
    Mutant(
        "late-wake-acts-without-looking", "event_effects",
        "    if now_ms - state.now_ms <= timers.beat_ms + timers.pause_ms:\n        return state\n",
        "    if now_ms >= state.now_ms:\n        return state\n",
        "goes on after a pause as if no time had passed: answers clients from pools that the peer has taken",
    ),
    Mutant(
        "late-wake-counts-the-silence-it-slept-through", "event_effects",
        "        peer=forget(state.peer, now_ms),\n",
        "",
        "takes its own sleep for the peer's silence: takes over at once from a living peer",
    ),
    Mutant(
        "late-wake-trusts-the-old-look", "event_effects",
        "            woke=True,\n            unseen_ms=None,",
        "            woke=False,\n            unseen_ms=None,",
        "knows that it slept and answers clients nevertheless: stale reads until the next look",
    ),
    Mutant(
        "late-wake-renews-the-proof", "event_effects",
        "            proved_ms=None if looks.proved_ms is None else max(looks.proved_ms, latest_ms),\n",
        "            proved_ms=now_ms,\n",
        "a wake counts as proof of the reservation: an owner that keeps sleeping is never proven wrong in time",
    ),
    Mutant(
        "late-wake-shortens-the-wait-for-the-deadman", "event_effects",
        "        fenced_ms=now_ms if state.fence is Fence.WAIT else state.fenced_ms,\n",
        "",
        "takes a clock that leapt for time that passed: imports while the peer may still write to what was out of reach",
    ),
    Mutant(
        "late-wake-shortens-the-wait-of-strict-orders", "event_effects",
        "        answer_ms=now_ms + wait_ms(state) if quiet else state.answer_ms,\n",
        "",
        "takes a clock that leapt for time that passed: with strict orders clients read from two controllers",
    ),
    Mutant(
        "lost-reservation-forgiven", "event_effects",
        "hold = Hold.LOST if lost else verdict.hold",
        "hold = verdict.hold",
        "a later look that is better undoes a loss: an import that somebody wrote behind goes on writing",
        covered="every phase that needs the reservation ends in the very step that learns of its loss (`unproven` and `releasing`, in owner): no later look is judged in that phase",
    ),
    Mutant(
        "refused-write-ignored", "event_effects",
        "return replace(state, looks=replace(state.looks, hold=Hold.LOST)) if lost else state",
        "return state",
        "a reservation conflict on a write of its own is just an error: serves stale reads until the next look",
    ),
    Mutant(
        "slow-look-overrides-the-claim", "event_effects",
        "return state if _outdated(state, begun_ms) else _shelf(",
        "return _shelf(",
        "a look that began before the claim ended says that nothing is ours: halts after every other takeover",
    ),
    Mutant(
        "slow-look-proves-the-present", "event_effects",
        "    proved_ms = now_ms if begun_ms is None else min(begun_ms, now_ms)\n",
        "    proved_ms = now_ms\n",
        "a look counts from when it ended: a disk that answers late proves what was true seconds ago",
    ),
    Mutant(
        "any-claim-is-the-running-one", "event_effects",
        "or epoch != state.epoch or state.fence",
        "or state.fence",
        "takes the end of an earlier claim for that of this one: imports under a key that was never verified",
        covered="a daemon runs one claim, forgets it when another begins, and hands over the end of no other",
    ),
    Mutant(
        "every-link-must-be-up", "event_effects",
        "if not any(name in up for name in group.interfaces)",
        "if not all(name in up for name in group.interfaces)",
        "calls a group down when one member is: moves the pools for a redundant cable",
    ),
    Mutant(
        "flapping-link-is-down-for-long", "event_effects",
        "None if not down else now_ms if down != looks.groups_down else looks.down_ms",
        "looks.down_ms if not down else now_ms if looks.down_ms is None else looks.down_ms",
        "does not start the debounce again: a loose contact moves the pools",
    ),
    Mutant(
        "older-orders-accepted", "acceptance",
        "    if orders.generation < generation_min:\n",
        "    if orders.generation == generation_min - 1:\n",
        "takes orders of an older generation: what a person disabled comes back to life",
    ),
    Mutant(
        "contradicting-orders-accepted", "acceptance",
        "    if orders.generation < generation_min:\n",
        "    if orders.generation < generation_min - 1:\n",
        "takes other orders of the same generation: the two controllers follow whichever came last",
    ),
    Mutant(
        "unsafe-orders-accepted", "acceptance",
        "    defects = unsafe(orders)\n",
        "    defects = unsafe(orders)[:0]\n",
        "takes orders of the pair for safe because the pair wrote them: no arbitration disks, two owners or none",
    ),
    Mutant(
        "foreign-orders-accepted", "acceptance",
        "    if (orders.pair, orders.side) != (pair, side):\n",
        "    if orders.pair != pair:\n",
        "takes the peer's orders for its own: both claim with one key",
    ),
    Mutant(
        "new-disks-taken-for-proven", "pending_orders",
        "looks=replace(state.looks, shelf_ms=None, sees=False)",
        "looks=replace(state.looks, covered=False)",
        "what was seen of other disks counts for the new ones: claims pools that it has never looked at",
    ),
    Mutant(
        "resumes-without-reservation", "boot",
        "    if looks.hold is Hold.OURS and looks.pools",
        "    if looks.hold is not Hold.LOST and looks.pools",
        "goes on over imported pools without proof of its reservation: serves what the peer has taken",
    ),
    Mutant(
        "resumes-a-lost-reservation", "boot",
        "    if looks.hold is Hold.LOST:\n        return Move(Phase.HALTED, Code.FENCED, looks.doubt)\n    if looks.hold is Hold.OURS and",
        "    if looks.hold is not Hold.UNKNOWN and",
        "goes on over imported pools whatever the disks say: a stale import serves",
    ),
    Mutant(
        "unknown-pools-are-none", "boot",
        "if looks.pools in (Presence.NONE, Presence.REFUSED):",
        "if looks.pools in (Presence.NONE, Presence.REFUSED, Presence.UNKNOWN):",
        "takes a hung zpool for no pools: stands by, with the deadman fed, over pools that are imported",
    ),
    Mutant(
        "foreign-import-adopted", "boot",
        "    if memory is None or not GUARANTEES[memory.phase].required:\n        return Move(Phase.HALTED, Code.FOREIGN_IMPORT)",
        "    if memory is None or not GUARANTEES[memory.phase].required:\n        return Move(Phase.STANDBY, Code.NOTHING_HERE)",
        "stands by over pools that it finds imported and knows nothing of: exports what is not its own, and never resets",
    ),
    Mutant(
        "boots-without-end", "boot",
        "    if now_ms - state.since_ms >= lives_ms(state):\n        return Move(Phase.HALTED, Code.UNPROVEN, looks.doubt)\n",
        "",
        "looks for a proof for ever: pools stay imported, addresses answered, without a reservation",
    ),
    Mutant(
        "memory-lost-while-booting", "outputs",
        "remember=state.memory if state.phase is Phase.BOOTING else remember,",
        "remember=remember,",
        "a daemon that dies twice has forgotten what it owned: a healthy owner resets",
    ),
    Mutant(
        "successor-of-no-claim", "state_document",
        'state: State = _build(State, whole["state"], "state")',
        'state: State = _build(State, whole["state"] | {"epoch": 0}, "state")',
        "the daemon that takes over has claimed nothing itself: it takes its own reservation for a stranger's, and resets",
    ),
    Mutant(
        "successor-answers-at-once", "state_document",
        'state: State = _build(State, whole["state"], "state")',
        'state: State = _build(State, whole["state"] | {"answer_ms": None}, "state")',
        "the daemon that takes over knows of no wait: clients are answered by two while the old owner may still be there",
    ),
)  # fmt: skip
