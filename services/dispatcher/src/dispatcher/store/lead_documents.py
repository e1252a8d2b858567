"""A lead, and its document: `queue` is where it stands, and every change of state or time moves it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import orjson
from pymongo import UpdateOne

from dispatcher.domain.campaigns import LeadState
from dispatcher.domain.consent import NO_CONSENT, Consent, ConsentLevel, mailable
from dispatcher.domain.lead_rows import LeadRow
from dispatcher.domain.progress import NEVER, Facts
from postfleet.instants import now_ms
from postfleet.mongo import Document

#: An open lead may get mail now or later; all other states are an end.
OPEN = (LeadState.ACTIVE, LeadState.PAUSED, LeadState.UNCONFIRMED)


@dataclass(frozen=True, slots=True)
class Lead:
    """`step` is the next one to plan, `due` its time. `sender_id` mailed the earlier steps.

    `facts` knows of replies; opens and clicks are the deliveries'.
    """

    campaign_id: str
    lead_id: str
    address: str
    state: LeadState
    step: int
    due: int
    sender_id: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    consent: Consent = NO_CONSENT
    reason: str = ""  # why it is paused
    changed_at: int = 0
    asked_at: int = 0  # when it was last asked to confirm

    @property
    def key(self) -> str:
        return f"{self.campaign_id}:{self.lead_id}"

    @property
    def queue(self) -> str:
        return queue_key(self.key, self.state, self.due)


def queue_key(key: str, state: LeadState, due: int) -> str:
    campaign, _, lead = key.rpartition(":")
    return f"{campaign}:{state.value}:{due:019d}:{lead}"


def all_of(campaign_id: str) -> Document:
    return {"queue": {"$gte": f"{campaign_id}:", "$lt": f"{campaign_id};"}}


def between(campaign_id: str, state: LeadState, due: int) -> Document:
    """Leads of this state that are due at `due` or earlier."""
    prefix = f"{campaign_id}:{state.value}:"
    return {"queue": {"$gte": prefix, "$lt": f"{prefix}{due:019d};"}}


def at(campaign_id: str, state: LeadState, due: int) -> Document:
    """Leads of this state that are due at `due` to the millisecond."""
    start = f"{campaign_id}:{state.value}:{due:019d}"
    return {"queue": {"$gte": f"{start}:", "$lt": f"{start};"}}


def place_of(key: str, due: int) -> Document:
    return {"due": due, "queue": queue_key(key, LeadState.ACTIVE, due)}


def ended(key: str, state: LeadState) -> Document:
    place = queue_key(key, state, NEVER)
    return {"state": state.value, "due": NEVER, "queue": place, "changed_at": now_ms()}


def to_document(
    key: str, row: LeadRow, require_opt_in: bool, source: str, created: int
) -> Document:
    open_to_mail = mailable(row.consent, require_opt_in)
    state = LeadState.ACTIVE if open_to_mail else LeadState.UNCONFIRMED
    document: Document = {
        "_id": key,
        "address": row.address,
        "fields": fields_text(row.fields),
        "state": state.value,
        "step": 0,
        "due": 0,
        "queue": queue_key(key, state, 0),
    }
    if row.consent.level is not ConsentLevel.NONE:
        known = row.consent
        at = created if known.at is None else known.at
        document |= consent_document(Consent(known.level, at, known.source or source))
    return document


def consent_document(consent: Consent) -> Document:
    return {
        "consent": consent.level.value,
        "consent_at": consent.at or 0,
        "consent_source": consent.source,
    }


def fields_text(fields: dict[str, str]) -> str:
    """As one text: names may hold dots and dollar signs, and one value costs less to store."""
    return orjson.dumps(fields).decode()


def lead_of(document: Document) -> Lead:
    campaign, _, lead = document["_id"].rpartition(":")
    return Lead(
        campaign_id=campaign,
        lead_id=lead,
        address=document["address"],
        state=LeadState(document["state"]),
        step=document["step"],
        due=document["due"],
        sender_id=document.get("sender_id"),
        fields=orjson.loads(document["fields"]),
        facts=Facts(replied=bool(document.get("replied_at"))),
        consent=_consent(document),
        reason=document.get("reason", ""),
        changed_at=document.get("changed_at", 0),
        asked_at=document.get("asked_at", 0),
    )


def _consent(document: Document) -> Consent:
    if "consent" not in document:
        return NO_CONSENT
    level = ConsentLevel(document["consent"])
    return Consent(level, document["consent_at"] or None, document["consent_source"])


@dataclass(frozen=True, slots=True)
class Planned:
    """Leads that had `step` planned, by their keys: the next one is due at `due`."""

    keys: Sequence[str]
    step: int
    due: int
    sender_id: str

    def changes(self) -> Iterator[UpdateOne]:
        new = {"step": self.step + 1, "sender_id": self.sender_id}
        return advanced(self.keys, self.step, self.due, new)


def advanced(keys: Iterable[str], step: int, due: int, new: Document) -> Iterator[UpdateOne]:
    """Those that are still at this step, and are not paused or ended."""
    guard = {"step": step, "state": LeadState.ACTIVE.value}
    for key in keys:
        yield UpdateOne({"_id": key, **guard}, {"$set": {**new, **place_of(key, due)}})
