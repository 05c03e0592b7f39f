"""Shares: what clients may use over NFS and iSCSI, as values, and the sealed file that says so.

The agent compiles these values from a commit; the watchdog serves by them. Read `shares`, then `document`, `ports`.
Does not know how a server is started (`system/shares`) or when (`core/failover`).
"""
