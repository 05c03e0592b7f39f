"""Orders: the permissions and limits of the watchdog, compiled by the agent from the configuration, in a sealed file.

`orders`: the values. `document` and `sealed_value`: the files. `acceptance` and `safety_checks`: which orders a
watchdog may follow. `difference`: the changes in newer orders. `generation`: their number. `first_release`: the fields
that every release knows. `hardware_unit`: the serial number of the controller.
"""
