"""The inbox watcher's settings: `POSTFLEET_INBOX_WATCHER_<NAME>`, each with its reason."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from postfleet.settings import ServiceSettings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_prefix="POSTFLEET_INBOX_WATCHER_"
    )

    poll_seconds: float = Field(5.0, gt=0, le=5)  # without IDLE: "every few seconds"
    #: Then Junk and Sent are looked at; INBOX itself tells of mail. Far below the 29 min of RFC 2177.
    idle_seconds: float = Field(60.0, gt=0, le=1500)
    #: Of a replica with many mailboxes: then they are looked into less often than that.
    looks_per_second: float = Field(7.0, gt=0)
    #: Folders to read besides INBOX and Junk, for mailboxes whose owners sort mail away by rules:
    #: names as people see them, `*` for any characters, e.g. ["INBOX/Leads*"]. A look at each.
    more_folders: tuple[str, ...] = ()
    watch_sent: bool = True  # tell of mails in Sent that the platform did not send …
    unexpected_after_seconds: float = Field(600.0, gt=0)  # … and of which no email.sent was heard
    stale_seconds: float = Field(180.0, gt=0)  # not looked at for so long: watcher.stale
    command_seconds: float = Field(30.0, gt=0)  # no honest server is slower
    connect_seconds: float = Field(20.0, gt=0)
    retry_seconds: float = Field(2.0, gt=0)  # first pause after trouble, doubled up to
    retry_seconds_max: float = Field(60.0, gt=0)  # below stale_seconds, so that recovery is noticed

    lease_seconds: float = Field(15.0, gt=0)  # a dead replica's mailboxes are taken over after it
    max_mailboxes: int = Field(2000, gt=0)  # per replica: 68 KiB a connection
    connects_per_second: int = Field(25, gt=0)  # 500 mailboxes in 20 s, without a burst

    fetch_bytes: int = Field(
        262_144, ge=16_384, le=1_048_576
    )  # of each message, from its beginning
    raw_kept_bytes: int = Field(65_536, ge=0, le=1_048_576)  # of it, in `inbound`; 0 keeps none
    keep_inbound_days: int = Field(90, gt=0)
    keep_sent_days: int = Field(180, gt=0)  # later answers match nothing

    match_minutes: float = Field(10.0, gt=0)  # a mail waits so long for its email.sent
    evidence_after_seconds: float = Field(10.0, gt=0)  # a mail in doubt: a copy in Sent takes time
    evidence_days: int = Field(7, gt=0)  # so long it is looked for; no server queues longer
    allow_plain_imap: bool = False  # security `none`: passwords in clear, for tests only
