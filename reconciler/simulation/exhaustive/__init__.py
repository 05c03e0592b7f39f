"""The exhaustive world: every state that two controllers and their disks can reach, without durations.

`scenes`: small orders and the faults that each scene allows. `world`: every move. `pool_moves` and `disk_visits`: the
moves of pools and claims. `canonical` and `state_numbers`: make states equal and small. `explorer`: the search.
`disk_invariants`: what must hold. `reduced_orders`: makes a pair's own orders small. `twins`: claims by any number of
machines.
"""
