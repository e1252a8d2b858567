"""What the mail provisioner reads from the environment: `POSTFLEET_MAIL_PROVISIONER_…`."""

import os
from base64 import b64decode
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from mail_provisioner.dns_update import UpdateServer
from postfleet.addresses import InvalidAddress, canonical, check_domain
from postfleet.settings import ServiceSettings

SERVICE = "mail-provisioner"


def _default_config_dir() -> Path:
    return Path(os.environ.get("POSTFLEET_DATA_DIR", ".")) / "mailserver"


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="POSTFLEET_MAIL_PROVISIONER_")

    #: docker-mailserver's configuration volume, mounted as a directory: a file alone cannot be
    #: replaced atomically. Made at the first write.
    config_dir: Path = Field(default_factory=_default_config_dir)
    #: `files`: docker-mailserver's own, for some 200 mailboxes. `tables`: finished tables for large
    #: fleets, to which the mail server's configuration has to point (deploy/mailserver: MAIL_TABLES).
    config_form: Literal["files", "tables"] = "files"
    #: The mail server's public name, for MX and SPF; without it, `mail.` before each domain.
    hostname: str = ""
    #: Its addresses as the world sees them, separated by commas: they go into SPF as ip4/ip6,
    #: which costs no DNS lookup of the ten there may be. Without them SPF names the host.
    server_addresses: str = ""
    #: IP address and port of the DNS resolver; without it, the system's.
    resolver: str = ""
    #: IP address and port of the primary name server that takes dynamic updates (RFC 2136), with a
    #: TSIG key that may change our zones; without it the records are published by hand.
    dns_update_server: str = ""
    dns_update_key_name: str = ""
    dns_update_key: SecretStr | None = None
    dns_update_algorithm: str = Field("hmac-sha256", pattern="^hmac-sha(256|384|512)$")
    #: Where MTA-STS policies are looked for: RFC 8461 knows this port only.
    mta_sts_port: int = Field(443, ge=1, le=65535)
    #: Other places of the DNS providers' APIs (a proxy, or a test's server) than their own.
    cloudflare_url: str = Field("", pattern="^(https?://.+)?$")
    digitalocean_url: str = Field("", pattern="^(https?://.+)?$")
    route53_url: str = Field("", pattern="^(https?://.+)?$")
    #: Where receivers send reports about failed TLS (RFC 8460); without it none are asked for.
    tls_reports_to: str = ""
    #: Mail servers of others that are asked for a greeting, to see whether port 25 is open.
    outbound_probes: str = (
        "gmail-smtp-in.l.google.com:25,mta5.am0.yahoodns.net:25,mx01.mail.icloud.com:25"
    )
    #: Lists of spam sources (DNSBL) that are asked about the server's addresses.
    dnsbl: str = "zen.spamhaus.org,bl.spamcop.net,b.barracudacentral.org"
    #: How often every verified domain is looked at: more often would only find what caches hold.
    checks_interval_seconds: float = Field(900, gt=0)
    #: Where log-ins are tried before a mailbox is announced; without it nothing is tried.
    mail_host: str = ""
    imaps_port: int = Field(993, ge=1, le=65535)
    submission_port: int = Field(587, ge=1, le=65535)
    submissions_port: int = Field(465, ge=1, le=65535)  # TLS from the first byte
    sieve_port: int = Field(4190, ge=1, le=65535)  # ManageSieve, STARTTLS
    #: docker-mailserver looks at its files every 2 s and needs another to reload; a log-in that
    #: comes too early fails and is punished with a delay.
    login_delay_seconds: float = Field(3.5, ge=0)

    @field_validator("hostname")
    @classmethod
    def _check_hostname(cls, value: str) -> str:
        try:
            return check_domain(value).lower() if value else ""
        except InvalidAddress as error:
            raise ValueError(str(error)) from error

    @field_validator("server_addresses")
    @classmethod
    def _check_addresses(cls, value: str) -> str:
        return ",".join(str(ip_address(part.strip())) for part in value.split(",") if part.strip())

    @field_validator("resolver", "dns_update_server")
    @classmethod
    def _check_resolver(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if value and not (colon and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError("must be an IP address and a port, such as 127.0.0.1:53")
        if value:
            ip_address(host.strip("[]"))
        return value

    @field_validator("outbound_probes")
    @classmethod
    def _check_probes(cls, value: str) -> str:
        for part in value.split(","):
            host, _, port = part.strip().rpartition(":")
            if not (host and port.isdigit() and 0 < int(port) < 65536):
                raise ValueError("must be host:port, several separated by commas")
        return value

    @field_validator("dnsbl")
    @classmethod
    def _check_dnsbl(cls, value: str) -> str:
        try:
            return ",".join(check_domain(part.strip()) for part in value.split(",") if part.strip())
        except InvalidAddress as error:
            raise ValueError(str(error)) from error

    @field_validator("tls_reports_to")
    @classmethod
    def _check_report_address(cls, value: str) -> str:
        try:
            return canonical(value) if value else ""
        except InvalidAddress as error:
            raise ValueError(str(error)) from error

    @field_validator("dns_update_key")
    @classmethod
    def _check_update_key(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            secret = value.get_secret_value() if value else ""
            if len(b64decode(secret, validate=True)) < 16 and value:
                raise ValueError("must be the TSIG key's secret in base64, of 16 bytes or more")
        except ValueError as error:
            raise ValueError(f"must be the TSIG key's secret in base64 ({error})") from None
        return value

    @model_validator(mode="after")
    def _check_update_settings(self) -> Self:
        named = (self.dns_update_server, self.dns_update_key_name, self.dns_update_key)
        if any(named) and not all(named):
            raise ValueError(
                "…_DNS_UPDATE_SERVER, …_KEY_NAME and …_KEY belong together: set all three"
            )
        return self

    @property
    def update_server(self) -> UpdateServer | None:
        if not self.dns_update_key:
            return None
        host, _, port = self.dns_update_server.rpartition(":")
        return UpdateServer(
            host.strip("[]"),
            int(port),
            self.dns_update_key_name,
            self.dns_update_key.get_secret_value(),
            self.dns_update_algorithm,
        )

    @property
    def provider_urls(self) -> dict[str, str]:
        return {
            "cloudflare": self.cloudflare_url,
            "digitalocean": self.digitalocean_url,
            "route53": self.route53_url,
        }

    @property
    def probes(self) -> tuple[tuple[str, int], ...]:
        parts = (part.strip().rpartition(":") for part in self.outbound_probes.split(","))
        return tuple((host, int(port)) for host, _, port in parts)

    @property
    def block_lists(self) -> tuple[str, ...]:
        return tuple(self.dnsbl.split(",")) if self.dnsbl else ()

    @property
    def spf_addresses(self) -> tuple[str, ...]:
        return tuple(self.server_addresses.split(",")) if self.server_addresses else ()

    @property
    def resolver_address(self) -> tuple[str, int] | None:
        host, _, port = self.resolver.rpartition(":")
        return (host.strip("[]"), int(port)) if self.resolver else None

    def mail_host_of(self, domain: str) -> str:
        """The name that MX and SPF of `domain` give."""
        return self.hostname or f"mail.{domain}"
