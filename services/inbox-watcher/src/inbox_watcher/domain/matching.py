"""To which delivery a mail belongs: the keys to try, the most certain first."""

# ruff: noqa: RUF001 (letters of other scripts are meant)

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from inbox_watcher.domain.understood import Kind, Understood
from postfleet.tokens import Purpose, TokenContent, TokenKeys


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
    warmup: bool = False  # between two senders of the fleet

    @property
    def thread(self) -> str:
        """The same for all mails of this sender with this subject; "" without a subject."""
        return thread_of(self.sender_id, self.subject)


#: How sure a match is, from 0 to 1, by the key that made it.
CONFIDENCE = {
    "returned_message_id": 1.0,  # the report holds our mail
    "in_reply_to": 1.0,
    "reply_token": 1.0,  # our token, keyed, in the address that it went to
    "returned_token": 1.0,  # our token, keyed, in the mail that the report holds
    "references": 0.95,  # the thread goes on, perhaps between others
    "recipient_and_subject": 0.95,
    "author_and_subject": 0.9,
    "recipient": 0.8,  # the last mail to whom the report is about
    "author": 0.7,  # the last mail to who writes now
    "subject": 0.5,  # somebody at the recipient's domain answers the subject
}


@dataclass(frozen=True, slots=True)
class Match:
    sent: Sent
    matched_by: str

    @property
    def confidence(self) -> float:
        return CONFIDENCE[self.matched_by]


@dataclass(frozen=True, slots=True)
class Key:
    """What names a mail of ours: a Message-ID without brackets, or a delivery's id."""

    id: str
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


def match_by_keys(keys: Iterable[Key], known: Mapping[str, Sent]) -> Match | None:
    """The first key that names a mail of ours; `known` holds what was found, by these ids."""
    for key in keys:
        if key.id in known:
            return Match(known[key.id], key.matched_by)
    return None


def token_keys(mail: Understood, keys: TokenKeys) -> list[Key]:
    """Deliveries that the mail names by tokens which we made."""
    found = []
    for purpose, token in mail.tokens:
        content = keys.read(Purpose(purpose), token)
        if content is not None:
            by = "reply_token" if purpose == Purpose.REPLY else "returned_token"
            found.append(Key(content.delivery_id, by))
    return found


def warmup_of(mail: Understood, keys: TokenKeys) -> TokenContent | None:
    """What the token of a warm-up mail says, if we made it."""
    return keys.read(Purpose.WARMUP, mail.warmup) if mail.warmup else None


def match_by_address(mail: Understood, recent: Iterable[Sent]) -> Match | None:
    """Of the mails to the addresses that this mail names: the one of its subject, else the last."""
    by_age = sorted(recent, key=lambda sent: sent.sent_at, reverse=True)
    key = "recipient" if mail.recipients else "author"
    subject = plain_subject(mail.subject)
    for sent in by_age:
        if subject and plain_subject(sent.subject) == subject:
            return Match(sent, f"{key}_and_subject")
    return Match(by_age[0], key) if by_age else None


def match_by_subject(mail: Understood, thread: Iterable[Sent]) -> Match | None:
    """A colleague answers from another address: the subject of one mail to their domain, no other."""
    domain = mail.author.rpartition("@")[2]
    known = {s.recipient: s for s in thread if s.recipient.rpartition("@")[2] == domain}
    if len(known) != 1 or mail.kind not in _ANSWERS:
        return None
    return Match(next(iter(known.values())), "subject")


_PREFIX = re.compile(
    r"\s*(?:\[[^\]]{1,40}\]\s*|"
    r"(?:re|aw|antw|sv|vs|odp|rif|ref|res|r|wg|fwd?|tr|rv|enc|i|ynt|ilt|"
    r"automatic reply|automatische antwort|réponse automatique|respuesta automática|"
    r"risposta automatica|resposta automática|out of office|autosvar|"
    r"ответ|回复|答复|回覆|返信|회신)\s*(?:\[\d+\])?\s*[:：]\s*)",
    re.IGNORECASE,
)


def plain_subject(subject: str) -> str:
    """The subject without "Re:" and its like, in one form of spaces and case."""
    start = 0
    while found := _PREFIX.match(subject, start):
        start = found.end()
    return " ".join(subject[start:].split()).casefold()


def thread_of(sender_id: str, subject: str) -> str:
    plain = plain_subject(subject)
    return sha256(f"{sender_id}\x1f{plain}".encode()).hexdigest()[:16] if plain else ""


def worth_waiting(mail: Understood) -> bool:
    """Whether an unmatched mail may belong to a delivery of which we have not heard yet."""
    return mail.kind is not Kind.UNRELATED and mail.kind not in _WITHOUT_EVENT


def as_answer(mail: Understood) -> Understood:
    """A mail that a human wrote to us anew, and whose author we mailed, is a reply too."""
    if mail.kind is Kind.UNRELATED and mail.personal:
        return replace(mail, kind=Kind.REPLY, why="a new mail of somebody we mailed")
    return mail
