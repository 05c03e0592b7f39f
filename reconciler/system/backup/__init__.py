"""Backups: what a controller has and git has not, as one file in the age format (C2SP, age-encryption.org/v1).

archive      the content of a backup: a document with the files, each at a place that a restore knows
collection   the files of this controller that belong into one
encryption   for recipients or a passphrase, by the library `pyrage`; imported by nothing else
restoration  where each file goes, what that changes, and all of it or nothing

The state of the agent and of the watchdog is no part of it: an old generation or claim must not come back.
"""
