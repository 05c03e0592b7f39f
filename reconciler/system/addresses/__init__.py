"""Virtual addresses on one controller: placing them, telling the neighbours, and hearing whoever else has them.

    sight         links, addresses and routes of one look, as values
    links         Links: looks, and says when to look
    resolve       which kernel interface each resource name means
    plan          what to add and remove, as a pure function
    messages      the rtnetlink messages of it
    placing       VirtualAddresses: performs a plan; every refusal is a value
    settings      Settings: how interfaces answer ARP, kept and given back
    frame         ARP and neighbour discovery packets, both ways
    schedule      when an address is announced
    announcing    Announcer: sends them
    duplicates    DuplicateWatch: hears others
    placement     Placement: all of it behind one object, for a loop

Nothing here imports pyroute2: this runs in the watchdog, which stays small. An address is placed with the prefix of a
single host, so that it is neither the source of outgoing connections nor the first of a subnet that takes others with
it, and with a route of last resort to its network, so that it answers also where no static address is.
"""
