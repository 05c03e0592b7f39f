"""Virtual addresses on one controller: placing them, announcing them, and detecting duplicates.

    snapshot      links, addresses and routes of one look, as values
    links         Links: looks, and says when to look
    resolve       which kernel interface each resource name means
    plan          what to add and remove, as a pure function
    messages      the rtnetlink messages that do it
    executor      PlanExecutor: performs a plan; every refusal is a value
    settings      InterfaceSettings: how interfaces answer ARP, saved and restored
    frame         ARP and neighbour discovery packets, both ways
    schedule      when an address is announced
    announcer     Announcer: sends the announcements
    duplicates    DuplicateWatch: hears other machines with the same address
    placement     AddressPlacement: all of these behind one object, for an event loop

Nothing here imports pyroute2: this runs in the watchdog, which stays small. An address is placed with the prefix of a
single host, so that it is neither the source of outgoing connections nor the first of a subnet that takes others with
it, and with a route of last resort to its network, so that it answers also where no static address is.
"""
