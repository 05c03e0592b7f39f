"""Failover core: decides which controller may write to the disks, by one pure state machine for each controller.

The packages, in the order in which to read them: `machine` (phases, state, events, and the step that decides),
`reservations` (keys, the judgement of a look at the disks, the claim, current copies of a pool), `heartbeats` (messages
between the controllers, their authentication, and when the peer is silent), `orders` (the permissions that the agent
gives the watchdog, as a sealed file), `carp` (advertisements of other hosts). `ports` defines the interface to disks
and pools, `refusal` why a decoder refuses bytes, `strict_json` how documents are decoded. No module here reads a clock,
a socket, a device or a pool: the watchdog passes their state in.
"""
