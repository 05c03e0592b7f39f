"""SCSI persistent reservations: the keys, the judgement of a look at the disks, and the command programs.

`key`: the contents of a registration. `reservation_state`: who owns the disks, and whether a fence holds. `claim`: the
commands of a takeover. `fence_completion`: how a serving controller takes one more disk. `adoption`: a first
reservation over pools that are already imported. `repair`: a repair that the operator asks for. `current_copies` and
`transaction_groups`: refuse to import an older copy of a pool. `new_disks`: which added disks the owner could not take,
known before newer orders are published.
"""
