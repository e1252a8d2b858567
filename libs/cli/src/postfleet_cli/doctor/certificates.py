"""Certificates that end: the one of the public address, of NATS, and of SMTP in."""

import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from postfleet_cli.doctor.findings import Finding, ok, skipped, trouble, warning

_SOON = timedelta(days=14)
_FILES = {
    "POSTFLEET_DISPATCHER_SMTP_TLS_CERT_FILE": "certificate of SMTP in",
    "POSTFLEET_NATS_CA_FILE": "authority of NATS",
    "POSTFLEET_TLS_CA_FILE": "authority for mail servers",
}


def look(environ: Mapping[str, str], now: datetime) -> list[Finding]:
    """Those that the environment names."""
    findings = [
        of_file(check, Path(environ[name]), now)
        for name, check in _FILES.items()
        if environ.get(name)
    ]
    public = environ.get("POSTFLEET_PUBLIC_URL", "")
    if public.startswith("https://"):
        findings.append(of_server("certificate of the public address", public, now))
    elif public and urlsplit(public).hostname not in ("127.0.0.1", "localhost"):
        remedy = "put a TLS proxy before the gateway, and https:// into POSTFLEET_PUBLIC_URL"
        findings.append(warning("public address", f"{public} is not https", remedy))
    return findings or [skipped("certificates", "the environment names none")]


def of_file(check: str, file: Path, now: datetime) -> Finding:
    """The first certificate in a PEM file."""
    try:
        end = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        return trouble(check, f"{file}: {error}", "give a PEM file that can be read")
    return judge(check, end, now, f"renew {file}; it is taken up without a restart")


def of_server(check: str, url: str, now: datetime) -> Finding:
    """What a server shows."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        with (
            socket.create_connection((host, parts.port or 443), timeout=5) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as tls,
        ):
            shown = tls.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError as error:
        return trouble(check, f"{host}: {error.verify_message}", "renew it, with its whole chain")
    except OSError as error:
        return warning(check, f"{host} does not answer: {error}", "check DNS and the proxy")
    end = x509.load_der_x509_certificate(shown).not_valid_after_utc
    return judge(check, end, now, f"renew the certificate of {host}")


def judge(check: str, end: datetime, now: datetime, remedy: str) -> Finding:
    """By how long it has to go."""
    left = end - now.astimezone(UTC)
    if left <= timedelta(0):
        return trouble(check, f"expired on {end:%Y-%m-%d}", remedy)
    if left < _SOON:
        return warning(check, f"expires in {left.days} days", remedy)
    return ok(check, f"good until {end:%Y-%m-%d}")
