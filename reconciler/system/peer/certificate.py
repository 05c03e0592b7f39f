"""Keys and certificates of the controllers: Ed25519 (RFC 8410), self-signed, without an end (RFC 5280 4.1.2.5).

The dates carry no meaning: the clock of a controller may be wrong after a power cut. A certificate ends when the peer
forgets it. The names in it carry no meaning either. Only an enrolment imports this module, because the library is
large.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

#: The first second that a certificate can name, and the one that means that there is no end.
NOT_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A private key (PEM, PKCS #8) and its certificate (DER)."""

    key: str = field(repr=False)
    certificate: bytes


def new_credentials(name: str, *, not_before: datetime = NOT_BEFORE, not_after: datetime = NOT_AFTER) -> Credentials:
    """A new key with a certificate whose common name is `name`, at most 64 characters."""
    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, None)
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    return Credentials(pem, certificate.public_bytes(Encoding.DER))


def certificate_defect(certificate: bytes) -> str:
    """Why these bytes are no certificate that a controller makes; empty when they are one."""
    try:
        found = x509.load_der_x509_certificate(certificate)
        key = found.public_key()
        if not isinstance(key, Ed25519PublicKey):
            return "its key is no Ed25519 key"
        key.verify(found.signature, found.tbs_certificate_bytes)
    except InvalidSignature:
        return "its own key has not signed it"
    except ValueError:
        return "it is no X.509 certificate"
    return ""
