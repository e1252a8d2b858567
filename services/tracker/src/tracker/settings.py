"""What the tracker reads from the environment."""

import tempfile
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from postfleet.reachable import Network, parse_networks
from postfleet.settings import ServiceSettings
from tracker.domain.networks import BadNetworks, read_networks

SERVICE = "tracker"


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="POSTFLEET_TRACKER_")

    #: Where hits wait while NATS does not answer. It should outlive the process: a volume.
    spool_dir: Path = Path(tempfile.gettempdir()) / "postfleet-tracker"
    #: About 2.5 million hits: more than an hour at 500 a second.
    spool_max_bytes: int = Field(1 << 30, ge=1 << 20)
    #: A dashboard log-in ends after a working day.
    session_seconds: int = Field(12 * 3600, ge=60)

    #: Consumers in a process of their own: pixels and clicks never wait for them.
    consumer_process: bool = True
    #: Whose X-Forwarded-For is believed: the gateway's network. In containers that is theirs.
    trusted_proxies: str = "127.0.0.0/8,::1/128"
    #: Pixels and clicks of one address; above it they get 429. A large company's mail gateway stays
    #: below. An unsubscribe is never refused.
    hits_per_second: float = Field(100.0, gt=0)
    hits_burst: int = Field(2000, ge=1)

    #: Networks whose hits are a machine's, a proxy's or (whatever they look like) a human's network,
    #: as CSV: network,name,kind,source,as_of. Looked at before the built-in list.
    networks_file: Path | None = None

    #: Webhooks may go to these networks too, and over http: for receivers beside us. None by default.
    webhook_networks: str = ""

    #: Deliveries, timelines and hits are kept for so long: a year's campaigns can be compared.
    retention_days: int = Field(400, ge=1)
    #: Where the dashboard asks the other services; the public address if there is none.
    gateway_url: str = ""

    @property
    def webhook_networks_allowed(self) -> tuple[Network, ...]:
        return parse_networks(self.webhook_networks)

    @field_validator("trusted_proxies", "webhook_networks")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @field_validator("networks_file")
    @classmethod
    def _check_networks_file(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                read_networks(value.read_text())
            except (OSError, UnicodeDecodeError, BadNetworks) as error:
                raise ValueError(f"{value}: {error}") from error
        return value

    @field_validator("spool_dir")
    @classmethod
    def _check_spool_dir(cls, value: Path) -> Path:
        try:
            value.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = value / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ValueError(f"{value} cannot be written to: {error.strerror}") from error
        return value
