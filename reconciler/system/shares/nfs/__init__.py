"""NFS by the kernel's server, with the state of its clients on the pool and the same identity on both controllers.

`share_server` is the adapter. It uses `kernel_server` (the files of nfsd), `helper_programs` (nfsdcld and rpc.mountd),
`etab` (which exports mountd allows), `mounted_datasets` and `directory_check` (whether a path is the dataset's) and
`client_list`. Decides nothing about pools or addresses. docs/shares.md says what the kernel's server cannot do.
"""
