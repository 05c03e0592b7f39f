"""What a push to the pair may do, and what is answered: pure decisions.

Read `ssh_command`, `ref_updates`, `agreement`, `histories` in this order. The hooks of git, the agent and its peer act
on the answers; they decide nothing themselves.
"""
