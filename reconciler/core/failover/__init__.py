"""Who may write to the disks: one pure machine for each controller.

Read in this order: `phase` (what each phase guarantees), `state`, `events`, `step`, then the phases' own modules
`booting`, `standby`, `claiming`, `owner`; `hold` and `claim` know the disks, `detector` knows silence, `forbidden`
knows what keeps a controller still. Knows no clock, no socket, no device and no pool: it is told.
"""
