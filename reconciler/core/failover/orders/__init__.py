"""Orders: what the watchdog may do alone, compiled by the agent from the configuration and sealed into a file.

`orders` (the values), `document` and `sealed_value` (the files), `acceptance` and `safety_checks` (which orders may be
followed), `difference` (what newer orders change), `generation` (their number), `first_release` (fields that every
release knows), `hardware_unit` (the serial number of the controller).
"""
