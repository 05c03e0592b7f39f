"""The simulated world: fakes that behave as the real parts do, for tests, exploration and rehearsal.

Two worlds drive the same core with the same disks (`disk`: persistent reservations as SPC-4 specifies them).
`exhaustive` drops durations and visits every state. `timed` keeps every millisecond and runs one history at a time.
`fake_network` and `fake_pools` replace a controller's network and its ZFS in the tests of the agent.
"""
