"""Planning: differences become actions in a fixed order, or held actions with the gate that holds them.

Decides what would be done, in which order, with which impact and for which reason. Does not know netlink, git or time.
"""
