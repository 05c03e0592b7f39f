"""Which controller may write to the disks: one pure state machine for each controller.

The packages, in the order in which to read them: `machine` (phases, state, events, and the step that decides),
`reservations` (keys, what a look at the disks means, the claim, which copies of a pool are current), `heartbeats` (what
the controllers tell each other, how it is authenticated, and when silence counts), `orders` (what the agent lets the
watchdog do, as a sealed file), `carp` (what other hosts advertise). `ports` says what the core needs of disks and
pools, `refusal` why a decoder refuses bytes, `strict_json` how documents are read. Nothing here knows a clock, a
socket, a device or a pool: the watchdog tells it.
"""
