"""The repository that a pair hosts itself: served by stock git behind OpenSSH, guarded by hooks that ask the agent.

`hosted_repository` makes and changes it, `sshd_files` writes what sshd reads, `ssh_shell` is all that a client of the
git user can run, `hook` runs inside of git, and `agent_socket` is where both ask the agent. The processes that read
what clients send run as a user without rights; the agent gets their objects as a pack and receives it in a sandbox.
"""
