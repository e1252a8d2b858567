"""To which delivery a mail belongs: the keys to try, the most certain first."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from inbox_watcher.domain.understand import Kind, Understood


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail that we sent, as `email.sent` told; not `certain` if it was `email.unknown`."""

    message_id: str
    delivery_id: str
    sender_id: str
    recipient: str
    sent_at: int  # epoch ms
    campaign_id: str | None = None
    step: int | None = None
    variant: str | None = None
    lead_id: str | None = None
    subject: str = ""
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    sent: Sent
    matched_by: str


@dataclass(frozen=True, slots=True)
class Key:
    message_id: str
    matched_by: str


_ANSWERS = (Kind.REPLY, Kind.AUTO, Kind.CHALLENGE)
_WITHOUT_EVENT = (Kind.SUCCESS, Kind.MDN)


def message_keys(mail: Understood) -> list[Key]:
    """Message ids of ours that the mail may name. The last reference is the nearest ancestor."""
    keys = []
    if mail.original_message_id:
        keys.append(Key(mail.original_message_id, "returned_message_id"))
    keys += [Key(id_, "in_reply_to") for id_ in mail.in_reply_to]
    keys += [Key(id_, "references") for id_ in reversed(mail.references)]
    return keys


def address_keys(mail: Understood) -> list[str]:
    """Addresses that we may have mailed: of a report its recipients, of an answer its author."""
    if mail.recipients:
        named = [a for r in mail.recipients for a in (r.address, r.final_address)]
        return list(dict.fromkeys(filter(None, named)))
    if mail.kind in _ANSWERS or mail.personal:
        return [mail.author] if mail.author else []
    return []


def match_by_message(mail: Understood, known: Mapping[str, Sent]) -> Match | None:
    """The first key that names a mail of ours; `known` holds what was found, by message id."""
    for key in message_keys(mail):
        if key.message_id in known:
            return Match(known[key.message_id], key.matched_by)
    return None


def worth_waiting(mail: Understood) -> bool:
    """Whether an unmatched mail may belong to a delivery of which we have not heard yet."""
    return mail.kind is not Kind.UNRELATED and mail.kind not in _WITHOUT_EVENT


def as_answer(mail: Understood) -> Understood:
    """A mail that a human wrote to us anew, and whose author we mailed, is a reply too."""
    if mail.kind is Kind.UNRELATED and mail.personal:
        return replace(mail, kind=Kind.REPLY, why="a new mail of somebody we mailed")
    return mail
