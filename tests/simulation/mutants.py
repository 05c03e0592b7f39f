"""Seeded bugs in the failover core: each one plausible, each one caught.

A mutant is one fragment of one source file and what a careless programmer
would have written instead. It is applied without touching the tree: a child
interpreter compiles the changed source under the same name. Every mutant must
be caught by a story, by the explorer or by the swarm; a mutant nobody catches
shows a hole in the checkers.
"""
