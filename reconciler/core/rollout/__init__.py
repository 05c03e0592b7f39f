"""How a pair takes a revision: one plan for both controllers, and the order in which each applies its part.

Read `rollout_state`, `next_step` and `pair_plan` in this order. Pure: `agent/rollout` asks the peer and does the steps.
"""
