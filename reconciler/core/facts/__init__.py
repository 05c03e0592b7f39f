"""Facts: one true statement about a controller each, frozen, comparable, the same whether desired or observed.

Decides what can be said about a controller and what a difference is. Does not know YAML, netlink, git, time or plans.
"""
