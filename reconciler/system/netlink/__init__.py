"""The network of one controller, through rtnetlink(7): `LiveNetwork` looks and changes, `Monitor` says when to look.

    wire         bytes of messages and attributes, no sockets
    channel      one request or dump at a time over one socket, bounded in time
    links        link messages -> facts and NICs        addresses, routes    the same for theirs
    device       the sysfs side of a NIC: path and driver
    creation     the messages that make bonds, VLANs and bridges
    changes      one change of one fact as requests     refusal              the kernel's no, as a sentence
    live         LiveNetwork                            monitor              Monitor
    events       a socket that hears that something happened

The hot paths (dumps, addresses, MTUs, routes) are packed and read here with `struct`: pyroute2's own coding costs
tens of times more, and importing it a tenth of a second, so it is imported only when a link has to be made.
"""
