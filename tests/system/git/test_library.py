"""The git library on a machine without certificate authorities."""

import subprocess
import sys

PROGRAM = """
from reconciler.errors import StateError
try:
    import reconciler.system.git.mirror
except StateError as error:
    print(error)
else:
    print("started")
"""


def test_without_certificate_authorities_it_is_said_what_to_install() -> None:
    hidden = 'mount -t tmpfs none /etc/ssl && mount -t tmpfs none /usr/lib/ssl && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", hidden, "sh", "env", "-u", "SSL_CERT_FILE", "-u", "SSL_CERT_DIR"]
    done = subprocess.run(
        [*command, sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    assert "apt-get install ca-certificates" in done.stdout
    assert "the git library does not start" in done.stdout
