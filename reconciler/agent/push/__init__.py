"""Pushes to the pair, as the agents of both controllers answer them.

`push_service` answers the hooks of git, `candidate` judges and plans what was pushed, `peer_pushes` answers the peer,
`synchronisation` brings both repositories to the later commit, `pusher_keys` says who may push. Decisions are those of
`core/push`.
"""
