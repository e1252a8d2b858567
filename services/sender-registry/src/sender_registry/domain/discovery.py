"""What a domain publishes about its mail servers: SRV records (RFC 6186, RFC 8314) and autoconfig."""

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

from postfleet.addresses import check_domain, split_address
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.reachable import MAIL_PORTS
from sender_registry.domain.presets import PRESETS, InboxType
from sender_registry.domain.security import smtp_security

#: service name -> protocol and protection, the better ones first
SERVICES = {
    "_submissions": ("smtp", SmtpSecurity.IMPLICIT),
    "_submission": ("smtp", SmtpSecurity.STARTTLS),
    "_imaps": ("imap", SmtpSecurity.IMPLICIT),
}
_SOCKETS = {"SSL": SmtpSecurity.IMPLICIT, "STARTTLS": SmtpSecurity.STARTTLS}


@dataclass(frozen=True, slots=True)
class Srv:
    """One SRV record (RFC 2782); a target of "" says that the service is not offered."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Found:
    """What to propose to the operator, and who says so. `smtp` is None where nobody told."""

    by: str
    inbox_type: InboxType
    smtp: MailServer | None = None
    imap: MailServer | None = None
    problem: str = ""  # of the domain, where nobody tells


def from_preset(kind: InboxType, address: str, by: str) -> Found:
    preset = PRESETS[kind]
    smtp = _server(preset.smtp_host, preset.smtp_port, None, preset.smtp_username or address)
    imap = _server(preset.imap_host, preset.imap_port, SmtpSecurity.IMPLICIT, address)
    return Found(by, kind, smtp, imap)


def from_srv(records: dict[str, list[Srv]], address: str) -> Found | None:
    """From the records of each service; None if there is no submission server among them."""
    servers: dict[str, MailServer] = {}
    for service, (protocol, security) in SERVICES.items():
        if protocol in servers or not (best := _best(records.get(service, []))):
            continue
        server = _server(best.target, best.port, security, address)
        if server is not None:
            servers[protocol] = server
    if "smtp" not in servers:
        return None
    return Found("srv", InboxType.CUSTOM_SMTP, servers["smtp"], servers.get("imap"))


def from_autoconfig(document: bytes, address: str, by: str) -> Found | None:
    """From Mozilla's `config-v1.1.xml`; None if it names no submission server that we could use."""
    try:
        text = document.decode()
        if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
            return None  # no definition, so nothing that could expand
        root = ElementTree.fromstring(text)  # noqa: S314
    except (UnicodeDecodeError, ElementTree.ParseError):
        return None
    smtp = _first(root.iterfind(".//outgoingServer[@type='smtp']"), address)
    imap = _first(root.iterfind(".//incomingServer[@type='imap']"), address, imap=True)
    if smtp is None:
        return None
    return Found(by, InboxType.CUSTOM_SMTP, smtp, imap)


def _best(records: list[Srv]) -> Srv | None:
    offered = [record for record in records if record.target]
    return min(offered, key=lambda r: (r.priority, -r.weight), default=None)


def _first(
    elements: Iterable[ElementTree.Element], address: str, *, imap: bool = False
) -> MailServer | None:
    for element in elements:
        security = _SOCKETS.get((element.findtext("socketType") or "").strip().upper())
        port = (element.findtext("port") or "").strip()
        if security is None or not port.isdecimal() or len(port) > 5:
            continue
        if imap and security is not SmtpSecurity.IMPLICIT:
            continue
        host, user = element.findtext("hostname") or "", element.findtext("username") or ""
        server = _server(_filled(host, address), int(port), security, _filled(user, address))
        if server is not None:
            return server
    return None


def _filled(text: str, address: str) -> str:
    local, domain = split_address(address)
    places = {"EMAILADDRESS": address, "EMAILLOCALPART": local, "EMAILDOMAIN": domain}
    for name, value in places.items():
        text = text.replace(f"%{name}%", value)
    return text.strip()


def _server(
    host: str, port: int, security: SmtpSecurity | None, username: str
) -> MailServer | None:
    """None for what no registration would accept: the answer is proposed, so it must be usable."""
    try:
        check_domain(host)
    except ValueError:
        return None
    if port not in MAIL_PORTS or not username.isprintable() or not 0 < len(username) <= 320:
        return None
    chosen = security or smtp_security("auto", port, True)
    return MailServer(host=host.lower(), port=port, security=chosen, username=username)
