"""Certificates of servers that take TLS connections: given ones, or self-signed ones that we keep."""

import ipaddress
import logging
import os
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

log = logging.getLogger(__name__)

_LOOK_SECONDS = 60.0
_LIFETIME = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)


class ServerCertificate:
    """A certificate that is renewed under the running server: connections get the newest one.

    Raises OSError (ssl.SSLError is one) for files that do not fit.
    """

    def __init__(self, cert_file: str, key_file: str) -> None:
        self._files = (Path(cert_file), Path(key_file))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_cert_chain(*self._files)
        self._changed, self._looked = self._stamp(), time.monotonic()

    def fresh(self) -> ssl.SSLContext:
        """TLS 1.2 or newer; looks at the files at most once a minute."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            try:
                if self._stamp() != self._changed:
                    self._context.load_cert_chain(*self._files)
                    self._changed = self._stamp()
            except OSError as error:  # half of it is written: the old one goes on
                log.warning("the new certificate cannot be used yet: %s", error)
        return self._context

    def _stamp(self) -> list[int]:
        return [file.stat().st_mtime_ns for file in self._files]


def self_signed(folder: Path, names: Sequence[str]) -> tuple[str, str]:
    """Certificate and key in `folder`, made again a month before they expire. Clients can trust the
    certificate itself."""
    certificate, key = folder / "smtp.pem", folder / "smtp.key"
    if not _usable(certificate, key):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(certificate, key, names)
    return str(certificate), str(key)


def _usable(certificate: Path, key: Path) -> bool:
    if not certificate.exists() or not key.exists():
        return False
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    return found.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE


def _make(certificate: Path, key: Path, names: Sequence[str]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    now = datetime.now(UTC)
    hosts: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    hosts.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(key, secret, 0o600)
    _write(certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    """There whole, or not at all."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    unfinished.replace(path)
