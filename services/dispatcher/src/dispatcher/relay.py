"""SMTP in, made from the settings."""

import logging
import tempfile
from pathlib import Path

from dispatcher.mail_intake import MailIntake
from dispatcher.relay_access import Ask, RelayAccess
from dispatcher.relay_server import Ports, RelayLimits, RelayServer
from dispatcher.settings import Settings
from dispatcher.store.senders import Senders
from postfleet.certificates import ServerCertificate, self_signed

log = logging.getLogger(__name__)


def build_relay(
    settings: Settings, ask: Ask, senders: Senders, intake: MailIntake, message_id_key: bytes
) -> RelayServer:
    ports = Ports(settings.smtp_host, settings.smtp_port, settings.smtp_plain_port)
    limits = RelayLimits(
        hostname=settings.smtp_hostname,
        max_bytes=settings.message_max_bytes,
        max_recipients=settings.smtp_max_recipients,
        max_connections=settings.smtp_max_connections,
        max_connections_per_ip=settings.smtp_max_connections_per_ip,
        idle_seconds=settings.smtp_idle_seconds,
        mail_seconds=settings.smtp_mail_seconds,
        buffer_bytes=settings.smtp_buffer_bytes,
        deduplicate=settings.smtp_deduplicate,
    )
    certificate = _certificate(settings) if ports.submission or ports.plain else None
    access = RelayAccess(ask, senders)
    return RelayServer(ports, limits, access, intake, certificate, message_id_key)


def _certificate(settings: Settings) -> ServerCertificate:
    cert, key = settings.smtp_tls_cert_file, settings.smtp_tls_key_file
    if not (cert and key):
        folder = Path(settings.data_dir or tempfile.mkdtemp(prefix="postfleet-")) / "tls"
        cert, key = self_signed(folder, _names(settings.smtp_hostname))
        log.warning(
            "SMTP in has a self-signed certificate (%s): set POSTFLEET_DISPATCHER_SMTP_TLS_CERT_FILE "
            "and _KEY_FILE to one that clients trust",
            cert,
        )
    return ServerCertificate(cert, key)


def _names(hostname: str) -> list[str]:
    return list(dict.fromkeys([hostname, "localhost"]))
