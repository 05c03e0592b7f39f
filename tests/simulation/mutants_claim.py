"""Seeded bugs in the claim program, in the judgement of the disks, and in what a finished claim allows."""

from tests.simulation.mutants_model import Mutant

# Fragments are whole lines of the core, quoted and indented once more.
# ruff: noqa: E501

CLAIM = (
    Mutant(
        "claim-skips-the-verify", "claim",
        "    return replace(claim, part=Part.VERIFY, views=(None,) * len(claim.orders.disks))\n",
        "    sure = DiskView(True, claim.key, frozenset({claim.key}))\n"
        "    return replace(claim, part=Part.DONE, views=(sure,) * len(claim.orders.disks))\n",
        "trusts the answers to its commands and does not look again: imports over disks that it never fenced",
    ),
    Mutant(
        "claim-verifies-silence", "claim",
        "view = reply.view if reply.answer is Answer.GOOD else UNANSWERED",
        "view = reply.view if reply.answer is Answer.GOOD else DiskView(True, claim.key, frozenset({claim.key}))",
        "takes a disk that does not answer the last look for fenced: the old owner still writes to it",
    ),
    Mutant(
        "claim-takes-other-disks-first", "claim",
        "    if claim.part is Part.RACE and not claim.decided and raced < len(votes):\n        return",
        "    if claim.part is Part.RACE and not claim.won and raced < len(votes):\n        return",
        "sweeps once it has won a disk, before the race is decided: the loser has cut the winner off from others",
    ),
    Mutant(
        "claim-goes-each-its-own-way", "claim",
        "    votes = claim.orders.arbitration\n",
        '    votes = claim.orders.arbitration[:: -1 if claim.key.side == "b" else 1]\n',
        "lets b go through the arbitration disks backwards: two that race meet in the middle and take from one another",
    ),
    Mutant(
        "claim-goes-on-without-majority", "claim",
        "    if len(claim.lost) > len(votes) - claim.orders.majority:\n        return _withdraw(claim)\n",
        "",
        "the loser of the race goes on: it fences the winner on every other disk",
    ),
    Mutant(
        "majority-is-half", "orders",
        "return len(self.arbitration) // 2 + 1",
        "return len(self.arbitration) // 2",
        "forgets the one: a single disk of three makes an owner, and two disks make two",
    ),
    Mutant(
        "claim-leaves-its-keys-behind", "claim",
        "    if claim.returnable:\n        return replace(claim, part=Part.WITHDRAW, visits=())\n",
        "",
        "a loser leaves its registrations behind: it could write to disks that the winner believes to be its own",
    ),
    Mutant(
        "claim-releases-to-nobody", "claim",
        "return _goes_on(_leaving(claim, visit) if free else claim, replace(visit, stage=Stage.SEIZE))",
        "return _goes_on(_leaving(claim, visit), replace(visit, stage=Stage.SEIZE))",
        "a loser gives back disks that it took from a holder, to nobody: the reservation is free under imported pools",
    ),
    Mutant(
        "claim-takes-conflict-for-success", "claim",
        "def _seized(claim: Claim, visit: Visit, reply: Reply) -> Claim:\n    if reply.answer is Answer.GOOD:",
        "def _seized(claim: Claim, visit: Visit, reply: Reply) -> Claim:\n    if reply.answer is not Answer.SILENT:",
        "does not look at the status of PREEMPT: believes to hold a disk that a rival took first",
    ),
    Mutant(
        "claim-swaps-without-the-exact-key", "claim",
        "return Command(Verb.PREEMPT, visit.disk, key, visit.view.holder)",
        "return Command(Verb.PREEMPT, visit.disk, key, Key(key.side.other, key.epoch - 1))",
        "preempts the key that it expects in place of the one that it read: no compare-and-swap, and after any failed "
        "claim the disks refuse it",
    ),
    Mutant(
        "claim-does-not-evict", "claim",
        "    if strangers(claim.key, visit.view):\n        return _goes_on(claim, replace(visit, stage=Stage.EVICT))\n",
        "",
        "leaves other keys registered: their holders may go on writing, or no claim ever holds again",
    ),
    Mutant(
        "claim-over-a-later-epoch", "claim",
        "return view.surplus > 0 or newest > mine or (newest == mine and not claim.decided)",
        "return False",
        "accepts an older epoch, its own: a claim that slept fences whoever claimed after it",
    ),
    Mutant(
        "claim-over-an-equal-epoch", "claim",
        "return view.surplus > 0 or newest > mine or (newest == mine and not claim.decided)",
        "return view.surplus > 0 or newest > mine",
        "takes a disk from a rival that was there first with the same number: both may win a race",
    ),
    Mutant(
        "claim-thinks-any-holder-is-itself", "claim",
        "    if visit.view.holder == claim.key:\n",
        "    if visit.view.holder is not None and visit.view.holder.side is not None:\n",
        "takes the peer's reservation for one that its own registration has renamed: never fences a living peer",
    ),
    Mutant(
        "claim-takes-its-registration-for-the-reservation", "claim",
        "        return _goes_on(claim, replace(visit, stage=Stage.CONFIRM))\n",
        "        kept = frozenset(key for key in visit.view.registered if key.side is not claim.key.side)\n"
        "        return _evict(claim, replace(visit, view=DiskView(True, claim.key, kept | {claim.key})))\n",
        "does not look again after REGISTER where it was the holder: preempted in between, it stays registered under "
        "the new one",
    ),
    Mutant(
        "claim-confirms-without-judging", "claim",
        "    if _overtaken(claim, reply.view):\n"
        "        return _lost(claim if reply.view.holder == claim.key else _leaving(claim, visit), visit, reply)\n",
        "",
        "looks again, but not at how new the peer's key is: takes the disk back from whoever claimed after it",
    ),
    Mutant(
        "claim-stays-registered-where-it-lost", "claim",
        "return _lost(claim if reply.view.holder == claim.key else _leaving(claim, visit), visit, reply)",
        "return _lost(claim, visit, reply)",
        "sees that the disk was taken before it registered and leaves the registration there: it breaks the new fence",
    ),
    Mutant(
        "claim-gives-up-what-it-holds", "claim",
        "return _lost(claim if reply.view.holder == claim.key else _leaving(claim, visit), visit, reply)",
        "return _lost(_leaving(claim, visit), visit, reply)",
        "withdraws from a disk that it holds from before because a later claim has registered: nobody holds it then",
    ),
    Mutant(
        "claim-undoes-what-was-not-answered", "claim",
        "_leaving(claim, visit) if reply.answer is Answer.CONFLICT else claim, visit, reply)",
        "_leaving(claim, visit), visit, reply)",
        "takes a PREEMPT that timed out for one that failed and leaves: what was the other holder's is nobody's",
    ),
    Mutant(
        "claim-never-returns", "claim",
        "    if claim.part is Part.SWEEP and claim.missed:\n",
        "    if False:\n",
        "wins the race and never returns to the disk where its rival was first: the fence is broken, and nobody serves",
    ),
    Mutant(
        "claim-returns-to-silent-disks", "claim",
        "answered = reply.answer is not Answer.SILENT",
        "answered = True",
        "visits dead disks twice: their time-outs add up until the claim outlives its deadline",
    ),
    Mutant(
        "overtaken-winner-stays-registered", "claim",
        "    if judge(claim.orders, claim.key.epoch, ended.result).hold is Hold.OURS:\n        return ended\n",
        "    if ended.result:\n        return ended\n",
        "sees in its last look that it was overtaken and leaves its registrations: the later claim's fence does not hold",
    ),
    Mutant(
        "overtaken-winner-gives-up-what-it-holds", "claim",
        "if seen.holder not in (None, claim.key)]",
        "if seen.holder is not None]",
        "overtaken, it leaves the disks that it still holds as well: what it took from a holder is nobody's",
    ),
    Mutant(
        "fence-forgets-a-vdev", "hold",
        "    for vdev in orders.vdevs:\n        given",
        "    for vdev in orders.vdevs[:-1]:\n        given",
        "forgets the last vdev, the log device: the old owner goes on acknowledging synchronous writes there",
    ),
    Mutant(
        "fence-counts-other-keys", "hold",
        "and view.registered == {key}",
        "and key in view.registered",
        "is content with being registered: whoever else is registered may write, too (type 5)",
    ),
    Mutant(
        "fence-of-any-type", "hold",
        " and view.kind == 5",
        "",
        "does not look at the type of the reservation: Exclusive Access or Write Exclusive fence somebody else",
    ),
    Mutant(
        "fence-by-half-a-mirror", "hold",
        "if ours < vdev.needed or len(left) - len(excused) + min(len(given), loose) >= vdev.needed:",
        "if ours < vdev.needed:",
        "calls a vdev fenced when it can be imported: the old owner writes on to the other half of the mirror",
    ),
    Mutant(
        "fence-without-enough-of-our-own", "hold",
        "if ours < vdev.needed or len(left) - len(excused) + min(len(given), loose) >= vdev.needed:",
        "if len(left) - len(excused) + min(len(given), loose) >= vdev.needed:",
        "only asks what is left to the peer: imports a raidz of which it holds too few disks",
    ),
    Mutant(
        "fence-excuses-every-silent-disk", "hold",
        "if index in given and not views[index].answered]",
        "if not views[index].answered]",
        "excuses silent disks that the old owner never gave up: it may still write to them, and they come back",
    ),
    Mutant(
        "fence-imports-from-what-was-given-up", "hold",
        "len(held.intersection(vdev.disks) - given)",
        "len(held.intersection(vdev.disks))",
        "counts a disk that the last owner had given up among those to import from: what is on it is old",
        covered="the adapter reads the labels of what is fenced and counts such a disk no more than this (`coverage`)",
    ),
    Mutant(
        "fence-forgets-spares", "hold",
        "len(left) - len(excused) + min(len(given), loose) >= vdev.needed",
        "len(left) - len(excused) >= vdev.needed",
        "does not think of a spare in use, which no vdev of the orders names: the old owner writes on to it alone",
    ),
    Mutant(
        "fence-believes-who-lost-everything", "hold",
        "    return given if left >= vdev.needed else frozenset()\n",
        "    return given\n",
        "takes an owner that lost its cable at its word: every disk is called old, and nobody may take over",
        covered="an owner whose pools cannot write keeps its last word (`system/zfs/givenup`): older releases do not",
    ),
    Mutant(
        "coverage-trusts-silence", "coverage",
        "    if seated >= vdev.needed and suspected < vdev.needed:\n",
        "    if seated >= vdev.needed:\n",
        "is content with the disks that it reads: the one with the only newest writes may be the one that it does not",
    ),
    Mutant(
        "coverage-counts-every-disk-that-answers", "coverage",
        "    seated = sum(any(where.get(guid) in current for guid in place) for place in newest.places)\n",
        "    seated = sum(guid in where for place in newest.places for guid in place)\n",
        "counts disks that are behind: a raidz is opened with too few that have what was written last",
    ),
    Mutant(
        "coverage-forgets-spares", "coverage",
        "for at in (*vdev.disks, *spares(orders)) if at not in found and at not in dropped]",
        "for at in vdev.disks if at not in found and at not in dropped]",
        "looks for the newest writes on the disks of the vdev alone: the spare that has them is no such disk",
    ),
    Mutant(
        "coverage-forgets-the-word", "coverage",
        "    if said <= reached:\n",
        "    if said <= reached or said:\n",
        "does not compare how far the disks have come with what their last owner said: an older copy is as good as any",
    ),
    Mutant(
        "record-of-the-dead-says-nothing", "detector",
        "    state = _said(replace(state, highest=max(state.highest, beat.epoch)), beat)\n",
        "    state = replace(state, highest=max(state.highest, beat.epoch))\n",
        "remembers of no beat how far the pools have come: after a restart nothing is too old to be imported",
    ),
    Mutant(
        "fence-does-not-wait", "hold",
        "        elif len(left) + min(len(given), len(extra) - ready) >= vdev.needed:\n            wait = True\n",
        "",
        "does not wait for the peer's deadman where a disk could not be reached: two writers for some seconds",
    ),
    Mutant(
        "fence-without-arbitration", "hold",
        '    if judge(orders, epoch, views).hold is not Hold.OURS:\n        return Fence.BROKEN, ("arbitration",)\n',
        "",
        "counts vdevs only: two controllers on either half of every mirror may both be sure",
    ),
    Mutant(
        "judge-trusts-an-old-key", "hold",
        "view.answered and view.holder == mine for view",
        "view.answered and view.holder is not None and view.holder.side is mine.side for view",
        "trusts a key of an earlier life of its own: resumes over what somebody else may have written since",
        covered="no disk names an older epoch of ours while we own: a claim that wins has renamed our key wherever it holds, and `fence` asks for the exact key",
    ),
    Mutant(
        "judge-ignores-a-single-loss", "hold",
        "if overtaken or ours + silent < orders.majority:",
        "if ours + silent < orders.majority:",
        "as long as it has the majority, a disk lost to a later claim does not matter: serves on half a pool",
    ),
    Mutant(
        "judge-takes-silence-for-ours", "hold",
        "elif ours >= orders.majority:",
        "elif ours + silent >= orders.majority:",
        "a disk that does not answer is still ours: goes on serving while it is fenced behind its back",
    ),
    Mutant(
        "judge-lets-one-vote-own", "hold",
        "votes.count(key) >= orders.majority), None)",
        "votes.count(key) >= 1), None)",
        "believes the first arbitration disk: a leftover there names the wrong owner",
    ),
    Mutant(
        "judge-sees-without-vdevs", "hold",
        "    return votes >= orders.majority and all(_reached(vdev, answers) for vdev in orders.vdevs)\n",
        "    return votes >= orders.majority\n",
        "sees enough when it sees the arbitration disks: takes over pools that it cannot read",
    ),
    Mutant(
        "hangs-with-its-claim", "claiming",
        "    if now_ms - begun_ms >= limit_ms:\n        return Move(Phase.HALTED, Code.CLAIM_HUNG)\n",
        "",
        "waits for ever for a claim that hangs: nobody serves",
    ),
    Mutant(
        "imports-after-a-broken-fence", "claiming",
        "if state.fence is Fence.BROKEN or looks.hold is Hold.LOST:",
        "if looks.hold is Hold.LOST:",
        "waits the peer's deadman out after any failed fence: a living peer feeds it, and both write",
    ),
    Mutant(
        "imports-before-the-wait-is-over", "claiming",
        "return Move(Phase.IMPORTING, Code.CLAIM_WAITED) if now_ms - state.fenced_ms >= wait_ms(state) else None",
        "return Move(Phase.IMPORTING, Code.CLAIM_WAITED)",
        "a fence that has to be waited out counts at once: the peer still writes to the disks out of reach",
    ),
    Mutant(
        "waits-by-its-own-limits-only", "claiming",
        "return max(timers.proof_ms + timers.deadman_ms, state.waits_ms, said_ms)",
        "return max(timers.proof_ms + timers.deadman_ms, state.waits_ms)",
        "waits for the end of a peer whose limits another release derived, but not as long as it may live",
    ),
    Mutant(
        "takes-its-word-for-a-proof", "claiming",
        "    if state.peer.proven:\n",
        "    if state.peer.dead:\n",
        "imports over a disk out of reach because the peer says that it ends: until it does, it writes there",
    ),
    Mutant(
        "waits-in-spite-of-a-proof", "claiming",
        "    if state.peer.proven:\n",
        "    if False:\n",
        "waits out the deadman of a controller that has no power: clients wait for nothing",
    ),
    Mutant(
        "waits-without-the-proof-time", "claiming",
        "return max(timers.proof_ms + timers.deadman_ms, state.waits_ms, said_ms)",
        "return timers.deadman_ms",
        "forgets that a cut-off peer feeds its deadman until it misses the proof: reads stale, or two writers",
    ),
    Mutant(
        "waits-out-a-lost-reservation", "claiming",
        "if state.fence is Fence.BROKEN or looks.hold is Hold.LOST:",
        "if state.fence is Fence.BROKEN:",
        "a claim that was overtaken while it waited goes on waiting, and runs into its deadline in place of standing by",
    ),
    Mutant(
        "claims-beyond-the-last-epoch", "standby",
        " or exhausted(state)",
        "",
        "counts on when no epoch is left: the number does not fit a key, and the daemon dies of it again and again",
    ),
    Mutant(
        "peer-relies-on-who-has-no-epoch", "forbidden",
        "    if exhausted(state):\n",
        "    if False:\n",
        "says that it could take the pools and cannot: the active releases them to nobody",
    ),
    Mutant(
        "claims-with-a-used-epoch", "step",
        "epoch = next_epoch(state.highest, state.orders.pair, state.machine)",
        "epoch = state.epoch + 1",
        "counts its own claims only: its key is as old as one that others have used, or older",
    ),
    Mutant(
        "forgets-the-epochs-on-the-disks", "absorb",
        "        highest=max(state.highest, verdict.highest),\n",
        "",
        "learns epochs from beats only: after both were off, every claim is older than what stands on the disks",
    ),
)  # fmt: skip
