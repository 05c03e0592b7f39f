"""SCSI persistent reservations: the keys, what a look at the disks means, and the programs that take disks.

`key` (what a registration says), `reservation_state` (who owns the disks, whether a fence holds), `claim` (a takeover's
commands), `fence_completion` (what an active controller still takes while it serves), `adoption` (a first reservation
over pools that are imported), `repair` (a person's repair), `current_copies` and `transaction_groups` (no older copy of
a pool is imported), `new_disks` (what a plan can tell before newer orders are published).
"""
