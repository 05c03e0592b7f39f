"""The timed world: two controllers, their shelf, the cables between them and a client, every millisecond of it.

`world` (events in order), `controller` (what a watchdog does around the core's step), `kernel` (pools and addresses),
`cables` (datagrams), `shelf` (disks that answer slowly, or not), `client` (acknowledged writes), `faults` (the table of
all faults) and `fault_effects` (how each one changes the world), `invariants` (with history), `swarm` (seeded runs,
shortest traces), `stories` (transcripts with expected timelines), `rehearsal` (an operator's "what if").
"""
