"""hagit's failover daemon: one loop in which everything is a file descriptor, around the pure core.

Read in this order: `run` (what a start does), `loop`, `daemon` (the core's outputs performed, in a fixed order), then
its parts: `beats`, `shelf`, `placement`, `durable` (what outlives the daemon), `clerk` (slow files), `lifeline`,
`publish`. Decides nothing that `core/failover` decides.
"""
