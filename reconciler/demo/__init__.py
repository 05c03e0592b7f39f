"""The demonstration: a pair in network namespaces of one machine, with a simulated shelf in real time.

__main__                                the whole demonstration
configuration_story, failover_story     its steps, run by `narration` and `pair_narration`
step_output                             how steps are printed, also those of the lab's demonstration
testbed, repository                     machines and cables, and the files of the pair
managed_controller                      power and daemons of a controller, with its `deadman`
shelf_server, shelf_model               the simulated shelf; `shelf_command` controls it from a terminal
pinger, ping_probe, alert_receiver      the client of the pair
"""
