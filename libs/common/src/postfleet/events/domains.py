"""Domains, mailboxes and aliases on the platform's own mail server."""

from typing import ClassVar

from pydantic import Field

from postfleet.events.event import Event


class DomainEvent(Event):
    """Common to all `domain.*`."""

    source: ClassVar[str] = "mail-provisioner"
    aggregate: ClassVar[str] = "domain"

    domain: str


class DomainAdded(DomainEvent):
    """A domain was registered; it is not verified yet."""

    subject: ClassVar[str] = "domain.added"


class DomainVerified(DomainEvent):
    """The TXT token was found in DNS: the domain is the operator's."""

    subject: ClassVar[str] = "domain.verified"


class DomainDegraded(DomainEvent):
    """A check that was green is not any more."""

    subject: ClassVar[str] = "domain.degraded"
    checks: dict[str, str] = Field(default_factory=dict)


class DomainDnsChanged(DomainEvent):
    """A record of ours is not what we published."""

    subject: ClassVar[str] = "domain.dns_changed"
    records: tuple[str, ...] = ()


class MailboxEvent(Event):
    """Common to all `mailbox.*`. `request_id` is the registry's, where it asked for the mailbox."""

    source: ClassVar[str] = "mail-provisioner"
    aggregate: ClassVar[str] = "address"

    address: str
    domain: str
    request_id: str | None = None


class MailboxCreated(MailboxEvent):
    """The mailbox is on the mail server. Its password is asked for, not announced."""

    subject: ClassVar[str] = "mailbox.created"


class MailboxDeleted(MailboxEvent):
    """The mailbox takes no more mail and no log-ins."""

    subject: ClassVar[str] = "mailbox.deleted"


class MailboxFailed(MailboxEvent):
    """The mailbox could not be made; nothing is left behind."""

    subject: ClassVar[str] = "mailbox.failed"
    code: str
    reason: str


class AliasCreated(Event):
    """Mail for `alias` goes to `targets`."""

    subject: ClassVar[str] = "alias.created"
    source: ClassVar[str] = "mail-provisioner"
    aggregate: ClassVar[str] = "alias"

    alias: str
    targets: tuple[str, ...]


class AliasDeleted(Event):
    """The alias is gone."""

    subject: ClassVar[str] = "alias.deleted"
    source: ClassVar[str] = "mail-provisioner"
    aggregate: ClassVar[str] = "alias"

    alias: str
