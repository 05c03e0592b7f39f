"""TSIG keys of this controller (RFC 8945): git names them, the node file says where they lie and for which servers.

A key file is what tsig-keygen(8) prints and `nsupdate -k` reads, with one key in it. A message that is signed for one
server could be passed on to another that knows the key, so a key is used for the servers of the node file alone.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from reconciler.errors import NodeFileError
from reconciler.system.node import Node
from reconciler.system.secret import read_secret

#: RFC 8945, 6, without those of SHA-1 and MD5.
ALGORITHMS: Final = ("hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")
#: A secret of 128 bits; RFC 8945, 9, recommends one that is as long as the digest.
SECRET_BYTES_MIN: Final = 16
_COMMENT: Final = re.compile(r"(?://|#)[^\n]*|/\*.*?\*/", re.DOTALL)
_KEY: Final = re.compile(
    r'\s*key\s+"?(?P<name>[A-Za-z0-9_.-]{1,255})"?\s*\{\s*algorithm\s+"?(?P<algorithm>[A-Za-z0-9.-]{1,64})"?\s*;'
    r'\s*secret\s+"(?P<secret>[A-Za-z0-9+/=\s]{1,2048})"\s*;\s*\}\s*;?\s*'
)


@dataclass(frozen=True, slots=True)
class TsigKey:
    """A key of TSIG. Its secret is never shown."""

    name: str
    algorithm: str
    secret: bytes = field(repr=False)


def read_tsig_key(node: Node, name: str, server: str) -> TsigKey:
    """The key that the node file has under this name, for messages to this server (an IP address).

    Raises NodeFileError when there is none, when the node file does not name the server, or when the file is unfit.
    """
    wanted = name.lower()
    file = next((path for known, path in node.tsig if known.lower() == wanted), None)
    quoted = f'"{name}"' if "." in name else name
    if file is None:
        remedy = (
            f'run: tsig-keygen {name} > FILE; chmod 600 FILE; then add {quoted} = "FILE" to [tsig] of the node file'
        )
        raise NodeFileError(f"there is no file for the TSIG key {name}", where=str(node.path), remedy=remedy)
    servers = next((allowed for known, allowed in node.tsig_for if known.lower() == wanted), ())
    if ip_address(server) not in map(ip_address, servers):
        what = f"the TSIG key {name} is not for the server {server}"
        remedy = (
            f'add {quoted} = ["{server}"] to [tsig.for] of the node file, if this server may have messages signed so'
        )
        raise NodeFileError(what, where=str(node.path), remedy=remedy)
    try:
        text = read_secret(file).decode("ascii")
    except UnicodeDecodeError:
        text = ""
    remedy = f"make a new one: tsig-keygen {name} > {file}, and give it to the server, too"
    found = _KEY.fullmatch(_COMMENT.sub(" ", text))
    if found is None:
        raise NodeFileError("this is no key file as tsig-keygen(8) makes it", where=str(file), remedy=remedy)
    if found["name"].lower().rstrip(".") != wanted:
        raise NodeFileError(f"this file holds the key {found['name']}, not {name}", where=str(file), remedy=remedy)
    algorithm = found["algorithm"].lower().rstrip(".")
    if algorithm not in ALGORITHMS:
        what = f"the algorithm {algorithm} is none that is used here: {', '.join(ALGORITHMS)}"
        raise NodeFileError(what, where=str(file), remedy=remedy)
    try:
        secret = base64.b64decode("".join(found["secret"].split()), validate=True)
    except binascii.Error:
        raise NodeFileError("the secret of this key is not in Base64", where=str(file), remedy=remedy) from None
    if len(secret) < SECRET_BYTES_MIN:
        raise NodeFileError(f"the key is shorter than {SECRET_BYTES_MIN} bytes", where=str(file), remedy=remedy)
    return TsigKey(wanted, algorithm, secret)
