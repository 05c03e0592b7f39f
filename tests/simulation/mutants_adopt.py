"""Seeded bugs in how newer orders that change the shelf come into force."""

from tests.simulation.mutants_model import Mutant

# Fragments are whole lines of the core, quoted and indented once more.

ADOPT = (
    Mutant(
        "adopt-at-once",
        "pending_orders",
        "    pending = None if layout(orders) == layout(mine) else orders\n",
        "    pending = None\n",
        "judges the owner by arbitration disks that it has not taken: a commit resets the active controller",
    ),
    Mutant(
        "adopt-what-is-not-ours",
        "pending_orders",
        "    ready = ours_now and taken and not hard and (waited or not soft)\n",
        "    ready = ours_now\n",
        "adopts the shelf before its disks are taken: the next look finds the reservation lost",
    ),
    Mutant(
        "adopt-over-what-cannot-be-taken",
        "pending_orders",
        "    ready = ours_now and taken and not hard and (waited or not soft)\n",
        "    ready = ours_now and taken and (waited or not soft)\n",
        "adopts orders with a disk that other software holds: a takeover by them takes the disk away from it",
    ),
    Mutant(
        "adopt-without-taking",
        "pending_orders",
        "    ready = ours_now and taken and not hard and (waited or not soft)\n",
        "    ready = ours_now and taken and not hard\n",
        "adopts a shelf with disks that nobody has taken yet: pools may use them before they are fenced",
    ),
    Mutant(
        "adopt-later-than-never",
        "pending_orders",
        "    waited = now_ms - begun_ms >= state.orders.timers.claim_ms\n",
        "    waited = False\n",
        "waits for ever for a disk that its own pools have open: a takeover finds a pool with a disk it may not have",
    ),
    Mutant(
        "adopt-and-forget-the-wait",
        "pending_orders",
        "pending_ms=now_ms if hard else state.pending_ms",
        "pending_ms=state.pending_ms",
        "a disk that could not be taken for long is adopted the moment that it could, and is not taken",
    ),
    Mutant(
        "import-before-pending-disks",
        "event_effects",
        "            covered=_covered(state, views) and not awaited(state, seen, now_ms),\n",
        "            covered=_covered(state, views),\n",
        "imports before it has taken a disk that only pending orders name: the old owner still writes to it",
    ),
    Mutant(
        "restart-adopts",
        "pending_orders",
        "    return before, newest\n",
        "    return newest, None\n",
        "judges itself after a restart by disks that the daemon before had not taken: a restart resets the active",
    ),
    Mutant(
        "standby-adopts-first",
        "pending_orders",
        "        return claimed or beat.phase in OWNING or beat.phase is Phase.BOOTING\n",
        "        return False\n",
        "a standby follows orders whose disks its owner could not take: when the owner dies, it cannot take over",
    ),
    Mutant(
        "standby-adopts-while-the-peer-claims",
        "pending_orders",
        "        return claimed or beat.phase in OWNING or beat.phase is Phase.BOOTING\n",
        "        return beat.phase in OWNING or beat.phase is Phase.BOOTING\n",
        "takes the last beat of a standby that has claimed since for proof that no owner follows the older shelf",
    ),
    Mutant(
        "standby-adopts-in-silence",
        "pending_orders",
        "    return not (unseen or state.why.code is Code.CLAIM_LOST)\n",
        "    return False\n",
        "takes over by a shelf whose disks the dead owner could not take: the claim fails, and nobody serves",
    ),
    Mutant(
        "standby-never-adopts-in-silence",
        "pending_orders",
        "    return not (unseen or state.why.code is Code.CLAIM_LOST)\n",
        "    return True\n",
        "goes on claiming by a shelf with a dead disk, although a person has taken it out of the configuration",
    ),
    Mutant(
        "standby-deaf-to-its-owner",
        "pending_orders",
        "    if beat.shelf == shelf_digest(pending) or beat.shelf != shelf_digest(state.orders):\n",
        "    if beat.shelf < 0:\n",
        "goes on by the older shelf when the owner has adopted the newer: a takeover leaves its new disks to the owner",
    ),
    Mutant(
        "records-of-one-shelf-only",
        "pending_orders",
        "    return replace(both, arbitration=tuple(dict.fromkeys((*orders.arbitration, *added))))\n",
        "    return both\n",
        "does not read the record where an owner writes it that has adopted: takes over from a living one",
    ),
    Mutant(
        "excuses-by-other-orders",
        "event_effects",
        "    out = beat.out if beat is not None and beat.shelf == shelf_digest(state.orders) else frozenset()\n",
        "    out = beat.out if beat is not None else frozenset()\n",
        "takes the numbers of the peer's disks for its own: does without a disk that holds the only newest writes",
        covered="the owner and its standby number disks alike but for moments",
    ),
    Mutant(
        "foreign-key-is-loss",
        "reservation_state",
        "        return held is None or at in held\n",
        "        return True\n",
        "a disk that other software took while it was away is taken for a loss: the active controller resets",
    ),
    Mutant(
        "foreign-key-is-no-loss",
        "reservation_state",
        "        return held is None or at in held\n",
        "        return held is None\n",
        "goes on when other software takes disks that it held: writes are refused, pools suspend",
        covered="the first write that such a disk refuses says the same",
    ),
)
