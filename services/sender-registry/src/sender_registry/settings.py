"""What the sender registry reads from the environment: POSTFLEET_SENDER_REGISTRY_<NAME>."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from postfleet.settings import ServiceSettings
from sender_registry.domain.limits import LimitRules

Network = IPv4Network | IPv6Network


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

    @field_validator("allowed_networks")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        _networks(value)
        return value

    @property
    def networks(self) -> tuple[Network, ...]:
        return _networks(self.allowed_networks)

    @property
    def limit_rules(self) -> LimitRules:
        return LimitRules(enforce_age_ramp=self.enforce_age_ramp)

    @property
    def ehlo_name(self) -> str:
        """Fixed, so that no look-up of our own name delays a log-in."""
        host = urlsplit(self.public_url).hostname or "localhost"
        return f"[{host}]" if host.replace(".", "").isdigit() else host


def _networks(text: str) -> tuple[Network, ...]:
    parts = (part.strip() for part in text.split(","))
    return tuple(ip_network(part) for part in parts if part)
