"""What the sender registry reads from the environment: POSTFLEET_SENDER_REGISTRY_<NAME>."""

from datetime import timedelta
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from postfleet.reachable import Network, parse_networks
from postfleet.settings import ServiceSettings
from sender_registry.domain.deadlines import DeadlineRules
from sender_registry.domain.limits import LimitRules
from sender_registry.domain.policy import Policy
from sender_registry.domain.relay import RelayAccess


class Settings(ServiceSettings):
    """Every limit with its unit and its reason."""

    model_config = SettingsConfigDict(
        env_prefix="POSTFLEET_SENDER_REGISTRY_",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
    )

    allowed_networks: str = ""  # CIDRs, comma separated: mail servers that are not on the internet
    enforce_age_ramp: bool = True  # young accounts that send much are blocked by their providers
    validation_timeout_seconds: float = Field(10.0, gt=0, le=60)  # S241, a whole log-in
    sweep_seconds: float = Field(1.0, gt=0, le=60)  # how late a cooldown may end

    dns_server: str = ""  # host:port; "" asks the name servers of the system
    ispdb_url: str = "https://autoconfig.thunderbird.net/v1.1"  # "" asks no database

    primary_domains: str = ""  # comma separated; senders of other domains are refused, "": none is
    mail_host: str = ""  # our own mail server, for internal senders
    mail_submission_port: int = Field(587, ge=1, le=65535)
    mail_imaps_port: int = Field(993, ge=1, le=65535)
    service_domain: str = ""  # of the log-ins for handing mail in; "" is that of public_url
    relay_hosts: str = ""  # comma separated; "" is that of public_url
    relay_submission_port: int = Field(587, ge=1, le=65535)
    relay_plain_port: int = Field(25, ge=1, le=65535)
    require_approval: bool = False  # sender requests wait for somebody to approve them
    password_max_age_days: int = Field(365, ge=1, le=3650)  # app passwords are to be replaced then
    # The clients that the operator registered with the providers; "" switches OAuth off there.
    google_client_id: str = ""
    google_client_secret: SecretStr = SecretStr("")
    google_authorize_url: str = "https://accounts.google.com/o/oauth2/v2/auth"
    google_token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105
    microsoft_client_id: str = ""
    microsoft_client_secret: SecretStr = SecretStr("")
    microsoft_authorize_url: str = (
        "https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize"
    )
    microsoft_token_url: str = "https://login.microsoftonline.com/organizations/oauth2/v2.0/token"  # noqa: S105

    @field_validator(
        "google_authorize_url",
        "google_token_url",
        "microsoft_authorize_url",
        "microsoft_token_url",
    )
    @classmethod
    def _check_https(cls, value: str) -> str:
        if not value.startswith("https://"):
            raise ValueError("must start with https://")
        return value

    @field_validator("dns_server")
    @classmethod
    def _check_dns_server(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value and not (host and port.isdecimal()):
            raise ValueError("must look like 192.0.2.53:53")
        return value

    @field_validator("allowed_networks")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @property
    def networks(self) -> tuple[Network, ...]:
        return parse_networks(self.allowed_networks)

    @property
    def limit_rules(self) -> LimitRules:
        return LimitRules(enforce_age_ramp=self.enforce_age_ramp)

    @property
    def deadline_rules(self) -> DeadlineRules:
        return DeadlineRules(timedelta(days=self.password_max_age_days))

    @property
    def policy(self) -> Policy:
        return Policy(frozenset(_list(self.primary_domains.lower())))

    @property
    def relay_access(self) -> RelayAccess:
        host = urlsplit(self.public_url).hostname or "localhost"
        named = "postfleet.local" if host.replace(".", "").isdigit() else host
        return RelayAccess(
            tuple(_list(self.relay_hosts)) or (host,),
            self.relay_submission_port,
            self.relay_plain_port,
            self.service_domain or named,
        )

    @property
    def own_mail_host(self) -> tuple[str, int, int]:
        return self.mail_host, self.mail_submission_port, self.mail_imaps_port

    @property
    def ehlo_name(self) -> str:
        """Fixed, so that no look-up of our own name delays a log-in."""
        host = urlsplit(self.public_url).hostname or "localhost"
        return f"[{host}]" if host.replace(".", "").isdigit() else host


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
