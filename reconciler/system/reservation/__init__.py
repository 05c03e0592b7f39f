"""Persistent reservations of SCSI and NVMe disks: bytes, ioctls, paths, and what a person is told of them.

Read in this order: `standing` (what a disk says, whatever its kind), `sense`, `scsi` and `nvme` (bytes), `sgio` and
`nvmeio` (ioctls), `scsiport` and `nvmeport` (one path), `blockdevice` (which paths a disk has), `disk` (all of them).
Decides nothing about who may hold a disk; `core/failover/claim` does.
"""
