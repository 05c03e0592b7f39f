"""The simulated world: fakes that behave as the real parts do, for tests, exploration and rehearsal.

Two worlds drive the same core. The exhaustive one forgets durations and visits every state: `scene` (what may happen),
`bounded` (how it moves), `canonical` and `numbering` (small states), `explore` (the search), `disk` (one disk's
persistent reservations, which both worlds use). The timed one keeps every millisecond and runs one history at a time:
`timed` (events in order, the pair and its shelf), `daemon` (what a watchdog does around `step`), `kernel` (pools and
addresses), `wires` (datagrams and cables), `shelf` (disks that answer slowly, or not), `client` (acknowledged writes),
`faults` (the table of all faults) and `deeds` (how each is done), `checkers` (invariants, with history), `swarm`
(seeded runs, minimal traces), `script` (stories: transcripts with expected timelines), `rehearse` (an operator's "what
if"). `network` is the fake of
one controller's network for the agent.
"""
