"""The state machine of one controller: an event comes in, the state grows, the phase decides, at most one edge follows.

Read in this order: `phase` (what each phase guarantees), `state` and `events`, `step`, then what each phase decides:
`boot`, `standby`, `finished_claim`, `owner`. `event_effects` says what an event adds to the state, `outputs` what the
controller should be, `inhibitors` what keeps it from moving by itself, `preference` which side is better off,
`reasons` what people are told, `decision_codes` the names of all decisions. `pending_orders` brings newer orders into
force.
"""
