"""OpenZFS as this package sees it: the pools that the watchdog moves, and what the agent reads and changes of them.

    house     the protocol `PoolHouse`: look, import, export        observe   imported pools as plain values
    labels    whose disk is whose, read from the disks themselves   perform   one change, bounded in time
    checks    what makes a takeover unsafe or slow, in words

ZFS is asked through its own programs and through /proc/spl; their output is read by pure parsers (`status`, `tables`),
their arguments are made by pure functions (`arguments`). OpenZFS 2.1 to 2.4.
"""
