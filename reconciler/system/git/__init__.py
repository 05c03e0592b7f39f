"""The git source: a bare mirror in the state directory, fetched within limits, read without ever checking out.

`remote` says where, `mirror` fetches, `history` decides what is new, `tree` reads files, `lines` finds who wrote
a line, `authoring` makes a repository for a beginner. The only package that imports pygit2. It does not know what
the files mean, nor who may sign (`reconciler.system.signatures`).
"""
