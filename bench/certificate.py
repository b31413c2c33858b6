"""Who says that a server is 127.0.0.1?  A certificate of its own, made for one run.

It and its key lie in a temporary folder that goes when the benchmark ends.
"""

from __future__ import annotations

import atexit
import datetime
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Certificate", "own_certificate"]

NAME = "localhost"
ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """Two PEM files, by their paths."""

    certificate: str
    key: str

    def trust(self) -> ssl.SSLContext:
        """Return the settings of a client that believes this certificate and no other."""
        return ssl.create_default_context(cafile=self.certificate)


@cache
def own_certificate() -> Certificate:
    """Make a self-signed certificate; later calls return the same."""
    folder = tempfile.TemporaryDirectory(prefix="bench-")
    atexit.register(folder.cleanup)
    made = Certificate(f"{folder.name}/certificate.pem", f"{folder.name}/key.pem")
    certificate, key = self_signed()
    Path(made.certificate).write_bytes(certificate)
    Path(made.key).write_bytes(key)
    return made


def self_signed() -> tuple[bytes, bytes]:
    """Return a certificate and its key, PEM."""
    # Here, so that rows without TLS need no cryptography; aioquic brings it.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address(ADDRESS))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Some clocks of virtual machines jump.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
