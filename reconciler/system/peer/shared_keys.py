"""The keys that the virtual address shows to clients, made once for both controllers.

An SSH host key (Ed25519) and a TLS key with a certificate that it signs itself (ECDSA P-256, which every browser
takes). Were they different, the first failover would look like an attack to clients.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)
from cryptography.x509.oid import NameOID

from reconciler.system.peer.certificate import NOT_AFTER, NOT_BEFORE


def new_ssh_host_key() -> str:
    """A new SSH host key in the form of OpenSSH."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii")


def ssh_public_key(key: str) -> str:
    """The line of a `.pub` file for a host key. Raises ValueError."""
    public = load_ssh_private_key(key.encode("ascii"), None).public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii") + "\n"


def new_tls_key(name: str) -> tuple[str, str]:
    """A new key and its certificate for the host `name`, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), NOT_BEFORE, NOT_AFTER)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    return pem, certificate.public_bytes(Encoding.PEM).decode("ascii")
