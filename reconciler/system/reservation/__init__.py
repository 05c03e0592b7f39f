"""Persistent reservations of SCSI and NVMe disks: bytes, ioctls, paths, and the words for what a disk answers.

Read in this order:

    registration_state   what a disk says, whatever its kind
    sense, scsi, nvme    the bytes of commands and answers
    sg_io, nvme_ioctl    the ioctls that carry them
    nvme_host            the identity under which NVMe registers this machine
    scsi_port, nvme_port one path to one disk
    block_device         which paths a disk has
    nexus                a thread for each path
    multipath_disk       all paths of a disk together

This package does not decide who may hold a disk; `core/failover/reservations/claim` does.
"""
