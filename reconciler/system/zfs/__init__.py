"""OpenZFS as this package sees it: the pools that the watchdog moves, and what the agent reads and changes of them.

    pool_adapter    ZfsPools: looks at, imports and exports the pools of the orders
    pool_state      what the watchdog is told of them, from what the kernel says
    pool_lock       one import or export at a time
    import_devices  which disks to import a pool from, by their labels
    labels          what a disk says of its pool
    observe         imported pools as plain values
    perform         one change, bounded in time
    checks          conditions that make a takeover unsafe or slow, in words

The package asks ZFS through its own programs and through /proc/spl. Pure parsers read their output (`status`,
`tables`), and pure functions make their arguments (`arguments`). OpenZFS 2.1 to 2.4.
"""
