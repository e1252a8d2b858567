"""The sandbox's own certificate authority and server certificate."""

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_NAMES = ("localhost", "smtp.sandbox.test", "imap.sandbox.test")
_ADDRESS = "127.0.0.1"
_LIFETIME = timedelta(days=825)  # the longest that Apple's clients accept
_RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the PEM files are; clients trust `ca_file`."""

    ca_file: Path
    server_file: Path
    server_key_file: Path

    def server_context(self) -> ssl.SSLContext:
        """Return a context for servers."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.server_file, self.server_key_file)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return a context for clients that trust this sandbox and nobody else."""
        return ssl.create_default_context(cafile=str(self.ca_file))


def certificates(folder: Path, name: str = "localhost") -> Certificates:
    """Return the certificates in `folder`; make them if missing, about to expire, or without `name`."""
    found = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    if not _usable(found, name):
        _make(found, name)
    return found


def _usable(found: Certificates, name: str) -> bool:
    files = (found.ca_file, found.server_file, found.server_key_file)
    if not all(file.exists() for file in files):
        return False
    certificate = x509.load_pem_x509_certificate(found.server_file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    named = name == _ADDRESS or name in names.get_values_for_type(x509.DNSName)
    return named and certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE


def _make(wanted: Certificates, own_name: str) -> None:
    ca_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, server_name = _name("Postfleet sandbox CA"), _name("localhost")
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    others = [own_name] if own_name not in (*SERVER_NAMES, _ADDRESS) else []
    names = [x509.DNSName(name) for name in (*SERVER_NAMES, *others)]
    address = x509.IPAddress(ipaddress.ip_address(_ADDRESS))
    server = (
        _builder(server_name, ca_name, server_key.public_key())
        .add_extension(x509.SubjectAlternativeName([*names, address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    wanted.server_key_file.touch(mode=0o600)
    wanted.server_key_file.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    wanted.server_file.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    wanted.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
