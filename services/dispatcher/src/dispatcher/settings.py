"""The only reader of the environment."""

import os
import socket

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from postfleet.settings import ServiceSettings
from postfleet.topology import JOB_PARTITIONS


class HostLimit(BaseModel):
    """What an SMTP host takes for one sender. What is not given is not limited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connections: int | None = Field(None, ge=1)
    mails_per_connection: int | None = Field(None, ge=1)


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_prefix="POSTFLEET_DISPATCHER_"
    )

    # Who holds a lease. A name that is its own from one start to the next lets a restarted
    # dispatcher take up its work at once instead of after `lease_seconds`.
    instance: str = Field(default_factory=socket.gethostname)
    lease_seconds: float = Field(30, gt=1)  # renewed every third of it
    # Processes that send. 1: the service's own process does. More are beside it, which then plans
    # and answers only: as many as there are cores for them, the database and the bus.
    workers: int = Field(1, ge=1, le=JOB_PARTITIONS)
    plan_every_seconds: float = Field(1.0, gt=0)
    # The least between two mails of one sender, up to half longer by chance. 0: as fast as its
    # connections go, which suits the sandbox and relays of one's own; mailboxes at large
    # providers look more like people's with 30 to 120.
    sender_gap_seconds: float = Field(0, ge=0, le=3600)
    judge_variants_every_seconds: float = Field(30, gt=0)  # it reads the campaign's rows
    batch_size: int = Field(50, ge=1, le=500)
    # What the large providers tolerate; less where domain/provider_limits.py knows of less.
    connections_per_sender: int = Field(2, ge=1, le=50)
    mails_per_connection: int = Field(100, ge=1)  # some providers close after 25 to 100
    # Instead of what we know, JSON: {"smtp.example.com": {"connections": 5}}; * in a name is anything.
    provider_limits: dict[str, HostLimit] = Field(default_factory=dict)
    ehlo_hostname: str = Field(default_factory=socket.getfqdn)
    connect_timeout_seconds: float = Field(30, gt=0)
    reply_timeout_seconds: float = Field(120, gt=0)  # RFC 5321 §4.5.3.2 allows 5 minutes
    final_reply_timeout_seconds: float = Field(600, gt=0)  # RFC 5321 §4.5.3.2.6
    retry_base_seconds: float = Field(300, gt=0)  # doubles with each attempt, with jitter
    retry_window_seconds: float = Field(24 * 3600, gt=0)  # then the failure is final
    # A destination that throttles: half of what went there, more each hour, free at the ceiling.
    pace_floor_per_hour: float = Field(60, ge=1)
    pace_ceiling_per_hour: float = Field(10_000, ge=1)
    pace_step_per_hour: float = Field(600, gt=0)
    mx_lookups: bool = True  # roll domains up to the provider behind their MX
    breaker_failures: int = Field(3, ge=1)  # in a row; then no connection is made for a while
    breaker_pause_seconds: float = Field(60, gt=0)  # doubles up to half an hour
    # A campaign's figures since its last start. Above the bounce rate it pauses (S195); receivers
    # want complaints below 0.1 % and block at 0.3 % (Google's and Yahoo's guidelines, 2024).
    watch_every_seconds: float = Field(5, gt=0)
    pause_bounce_rate: float = Field(0.05, gt=0, le=1)
    pause_min_sends: int = Field(20, ge=1)  # 1 takes the rule by the letter
    warn_complaint_rate: float = Field(0.001, gt=0, le=1)
    pause_complaint_rate: float = Field(0.003, gt=0, le=1)
    pause_min_complaints: int = Field(2, ge=1)  # one person's click stops no campaign
    blast_min_senders: int = Field(3, ge=2)  # that degrade together: what they share is paused
    # Batches that are done, their attempts and settlements; longer than the stream keeps events,
    # which `postfleet ledger announce` says again.
    ledger_keep_seconds: float = Field(31 * 24 * 3600, ge=3600)
    # A link of a double opt-in may be used so long; then it may be asked for again.
    confirm_within_seconds: float = Field(14 * 24 * 3600, gt=0, le=10 * 365 * 24 * 3600)
    unknown_after_seconds: float = Field(24 * 3600, gt=0)  # then the policy decides

    # Mails of their own (POST /messages, SMTP in)
    message_max_bytes: int = Field(
        10 * 1024 * 1024, ge=64 * 1024, le=14 * 1024 * 1024
    )  # a document's 16 MiB
    message_expires_after_seconds: float = Field(
        72 * 3600, gt=0
    )  # past it nobody wants it any more
    message_keep_seconds: float = Field(24 * 3600, ge=0)  # its content, after it has expired

    # Warm-up mails within the fleet, by the registry's plan for the day
    warmup_every_seconds: float = Field(300, gt=0)  # how often the plans are asked for
    warmup_day_seconds: float = Field(24 * 3600, gt=0)  # the mails of a day go within so long
    warmup_answer_seconds: float = Field(2 * 3600, ge=0)  # an answer is written within so long

    # SMTP in: 0 does not listen. The submission port asks for STARTTLS (RFC 6409), the plain one
    # knows networks only.
    smtp_host: str = Field("127.0.0.1", min_length=1)
    smtp_port: int = Field(0, ge=0, le=65535)
    smtp_plain_port: int = Field(0, ge=0, le=65535)
    smtp_hostname: str = Field(default_factory=socket.getfqdn, pattern=r"^[A-Za-z0-9.-]{1,253}$")
    smtp_tls_cert_file: str | None = None  # PEM, with the chain; without one it is self-signed
    smtp_tls_key_file: str | None = None
    smtp_max_recipients: int = Field(1000, ge=100, le=10_000)  # RFC 5321 §4.5.3.1.8: at least 100
    smtp_max_connections: int = Field(500, ge=1)  # about 100 kB each
    smtp_max_connections_per_ip: int = Field(50, ge=1)
    smtp_idle_seconds: float = Field(300, gt=0)  # RFC 5321 §4.5.3.2.7
    smtp_mail_seconds: float = Field(600, gt=0)  # for the content of one mail, however slow
    smtp_buffer_bytes: int = Field(128 * 1024 * 1024, ge=1024 * 1024)  # content arriving at once
    smtp_deduplicate: bool = True  # the same Message-ID, envelope and content is one mail

    data_dir: str | None = Field(None, validation_alias="POSTFLEET_DATA_DIR")

    @model_validator(mode="after")
    def _certificate(self) -> "Settings":
        if bool(self.smtp_tls_cert_file) != bool(self.smtp_tls_key_file):
            raise ValueError("smtp_tls_cert_file and smtp_tls_key_file: give both, or neither")
        for file in (self.smtp_tls_cert_file, self.smtp_tls_key_file):
            if file and not os.access(file, os.R_OK):
                raise ValueError(f"{file} is no file that can be read")
        return self
