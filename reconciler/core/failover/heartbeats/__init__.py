"""Heartbeats: the messages between the controllers, and when the peer counts as silent.

`heartbeat`: the values. `wire`: their bytes. `disk_record`: the same in a sector of a disk. `authentication` and
`keyring`: who wrote them. `replay_window`: which are new. `layout_version`: which layout the peer reads.
`record_slots`: the peer's slots from one read to the next. `failure_detector`: which heartbeats count as signs of life.
`twins`: two machines that present themselves as one side.
"""
