"""Power fencing, the pure part: how a controller's power is switched, the file that says so, and when it is cut.

Does not know how an agent is run (`system/power`), nor anything secret: credentials never leave their files.
"""
