"""The events of mailboxes and aliases, each with an id that a repeated step repeats."""

from mail_provisioner.domain.addresses import Address, Kind
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.domains import (
    AliasCreated,
    AliasDeleted,
    MailboxCreated,
    MailboxDeleted,
    MailboxFailed,
)
from postfleet.events.event import Event
from postfleet.instants import now


def _announced(address: Address, event: Event) -> Announcement:
    """The id follows from the address and its generation: a repeated step repeats its event."""
    return Announcement(event, derived_id(address.address, address.generation, event.subject))


def created(address: Address) -> Announcement:
    event: Event
    if address.kind is not Kind.MAILBOX:
        event = AliasCreated(occurred_at=now(), alias=address.address, targets=address.targets)
    else:
        event = MailboxCreated(occurred_at=now(), **_names(address))
    return _announced(address, event)


def retargeted(address: Address, targets: tuple[str, ...]) -> Announcement:
    """The same fact as a creation, with the targets that count from now on."""
    event = AliasCreated(occurred_at=now(), alias=address.address, targets=targets)
    parts = (address.address, address.generation, event.subject, address.revision + 1)
    return Announcement(event, derived_id(*parts))


def deleted(address: Address) -> Announcement:
    event: Event
    if address.kind is not Kind.MAILBOX:
        event = AliasDeleted(occurred_at=now(), alias=address.address)
    else:
        event = MailboxDeleted(occurred_at=now(), **_names(address))
    return _announced(address, event)


def failed(address: Address, code: str, reason: str) -> Announcement:
    event = MailboxFailed(occurred_at=now(), code=code, reason=reason, **_names(address))
    return _announced(address, event)


def _names(address: Address) -> dict[str, str | None]:
    return {
        "address": address.address,
        "domain": address.domain,
        "request_id": address.request_id or None,
    }
