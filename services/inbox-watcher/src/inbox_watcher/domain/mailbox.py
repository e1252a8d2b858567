"""Which mailboxes are watched, and how far each folder has been read."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from postfleet.events.senders import MailServer, SenderSnapshot, SmtpSecurity

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cursor:
    """All mail of this folder up to `uid` has had its effects, as long as the validity is the same."""

    uid_validity: int
    uid: int

    @classmethod
    def before_all(cls, uid_validity: int) -> "Cursor":
        return cls(uid_validity, 0)


@dataclass(frozen=True, slots=True)
class Login:
    """Where and as whom to log in; the password is asked for each time."""

    host: str
    port: int
    security: SmtpSecurity
    username: str
    auth_method: str


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A sender's mailbox as the watcher sees it."""

    sender_id: str
    address: str
    login: Login
    registered_at: datetime
    cursors: dict[str, Cursor] = field(default_factory=dict)  # by folder name
    revision: int = 0  # of the sender, as it was seen last

    def is_at(self, other: "Mailbox") -> bool:
        """Whether watching one is watching the other: the same server, user and address."""
        return (self.login, self.address) == (other.login, other.address)


def to_watch(sender: SenderSnapshot) -> MailServer | None:
    """The server to watch this sender's mailbox on; None if it is not to be watched."""
    if sender.deleted or sender.suspended:
        return None
    return sender.imap


def share_of(mailboxes: int, replicas: int, most: int) -> int:
    """How many mailboxes one of the replicas should watch, so that all are watched."""
    return min(-(-mailboxes // max(replicas, 1)), most)


def start_of(cursor: Cursor | None, uid_validity: int) -> Cursor:
    """Where to go on: from the beginning if the folder is new or was made again (RFC 3501 §2.3.1.1)."""
    if cursor is None or cursor.uid_validity != uid_validity:
        return Cursor.before_all(uid_validity)
    return cursor


def from_now_on(cursor: Cursor | None, uid_validity: int, uid_next: int) -> Cursor:
    """As `start_of`, but of a folder that is new or was made again only what comes from now on."""
    if cursor is None or cursor.uid_validity != uid_validity:
        return Cursor(uid_validity, max(uid_next - 1, 0))
    return cursor


def history_limit(registered_at: datetime) -> datetime:
    """Mail from before the sender was registered answers nothing; a day for clocks and time zones."""
    return registered_at.astimezone(UTC) - _DAY
