"""What a hit means once it is joined with its delivery: the event to announce.

Every id is derived from the hit's, so that a hit which is handled twice says nothing twice.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from postfleet.cloudevents import Announcement, derived_id
from postfleet.events import EmailClicked, EmailOpened, Event, RecipientUnsubscribed, Verdict
from postfleet.instants import from_ms
from tracker.domain.deliveries import Delivery
from tracker.domain.hits import Hit, HitKind
from tracker.domain.verdicts import Judgement


@dataclass(frozen=True, slots=True)
class JudgedHit:
    hit: Hit
    delivery: Delivery
    judgement: Judgement
    url: str = ""

    @property
    def first_key(self) -> str | None:
        """What a human open or click competes for: to be the delivery's first of its kind."""
        if self.hit.kind is HitKind.UNSUBSCRIBED or self.judgement.verdict is not Verdict.HUMAN:
            return None
        return f"{self.hit.delivery_id}:{self.hit.kind}"


def announcement(judged: JudgedHit, *, first: bool) -> Announcement:
    """The one event that follows from this hit."""
    hit = judged.hit
    event: Event
    if hit.kind is HitKind.OPENED:
        event = EmailOpened(**_common(judged), **_verdict(judged, first))
    elif hit.kind is HitKind.CLICKED:
        event = EmailClicked(**_common(judged), **_verdict(judged, first), url=judged.url)
    else:
        event = RecipientUnsubscribed(**_common(judged), method=_method(hit))
    return Announcement(event, derived_id(event.subject, hit.id))


def _common(judged: JudgedHit) -> dict[str, Any]:
    facts = asdict(judged.delivery)
    del facts["sent_ms"]
    return {**facts, "occurred_at": from_ms(judged.hit.at_ms)}


def _verdict(judged: JudgedHit, first: bool) -> dict[str, Any]:
    judgement = judged.judgement
    return {"verdict": judgement.verdict, "reason": judgement.reason, "first": first}


def _method(hit: Hit) -> Literal["one-click", "page"]:
    return "one-click" if hit.way == "one-click" else "page"
