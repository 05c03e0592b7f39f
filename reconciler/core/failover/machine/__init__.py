"""State machine of one controller: an event updates the state, the phase decides, at most one transition follows.

Read in this order: `phase` (the guarantees of each phase), `state` and `events`, `step`, then the decisions of each
phase: `boot`, `standby`, `finished_claim`, `owner`. `event_effects` updates the state with an event. `outputs` derives
the wanted pools and addresses from the state. `inhibitors` lists the reasons against an automatic move. `preference`
compares the two sides. `reasons` explains to people why HA is not available. `decision_codes` names all decisions.
`pending_orders` brings newer orders into force.
"""
