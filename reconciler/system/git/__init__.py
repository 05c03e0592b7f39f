"""The git source: a bare mirror in the state directory, fetched within limits, read without ever checking out.

`remote` says where, `mirror` fetches, `history` decides what is new, `tree` reads files, `lines` finds who wrote
a line, `commit_writer` makes a repository for a beginner. The only package that imports pygit2. It does not know what
the files mean, nor who may sign (`reconciler.system.signatures`).
"""

from __future__ import annotations

from reconciler.errors import StateError

try:
    import pygit2  # noqa: F401 - its start looks for certificate authorities, and fails where there are none
except ImportError:
    raise
except Exception as error:
    raise StateError(
        f"the git library does not start: {error}",
        where="/etc/ssl/certs",
        remedy="it wants certificate authorities even for local repositories: apt-get install ca-certificates",
    ) from error
