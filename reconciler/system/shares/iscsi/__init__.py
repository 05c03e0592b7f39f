"""iSCSI with the kernel's target (LIO): `server` implements the port, over configfs and in one process.

Read `identities` (what initiators recognise), `configfs` (the tree), `volumes` (which block device), `group_settings`
(what a portal group must look like), `portal_groups` (how it becomes so), then `server`.
"""
