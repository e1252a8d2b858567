"""What a hit means once it is joined with its delivery: the event to announce.

Every id is derived from the hit's, so that a hit which is handled twice says nothing twice.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.event import Event
from postfleet.events.tracking import (
    EmailClicked,
    EmailOpened,
    RecipientResubscribed,
    RecipientUnsubscribed,
    Verdict,
    VerdictChanged,
)
from postfleet.instants import from_ms
from tracker.domain.corrections import Change, Correction
from tracker.domain.deliveries import Delivery
from tracker.domain.hits import Hit, HitKind
from tracker.domain.verdicts import RULES_VERSION, Judgement


@dataclass(frozen=True, slots=True)
class JudgedHit:
    hit: Hit
    delivery: Delivery
    judgement: Judgement
    url: str = ""

    @property
    def first_key(self) -> str | None:
        """What a human open or click competes for: to be the delivery's first of its kind."""
        counted = self.hit.kind in (HitKind.OPENED, HitKind.CLICKED)
        if not counted or self.judgement.verdict is not Verdict.HUMAN:
            return None
        return standing_key(self.hit.delivery_id, self.hit.kind)


def standing_key(delivery_id: str, kind: HitKind) -> str:
    return f"{delivery_id}:{kind}"


def announcement(judged: JudgedHit, first: int) -> Announcement:
    """The one event that follows from this hit; `first` numbers the first that it is, 0 if none."""
    hit = judged.hit
    event: Event
    if hit.kind is HitKind.OPENED:
        event = EmailOpened(**_common(judged), **_verdict(judged, first))
    elif hit.kind is HitKind.CLICKED:
        event = EmailClicked(**_common(judged), **_verdict(judged, first), url=judged.url)
    elif hit.kind is HitKind.RESUBSCRIBED:
        event = RecipientResubscribed(**_common(judged), method="page")
    else:
        event = RecipientUnsubscribed(
            **_common(judged),
            method=_method(hit),
            scope="campaign" if hit.way == "series" else "all",
        )
    return Announcement(event, derived_id(event.subject, hit.id))


def corrected(correction: Correction, delivery: Delivery) -> Iterator[Announcement]:
    """An event for each verdict that changed; the first of them moves the count."""
    before, after = correction.before, correction.after
    moved: dict[str, Any] = {}
    if correction.uncounted:
        moved |= {"uncounted": before.count, "uncounted_at": from_ms(before.at_ms)}
    if correction.counted:
        moved |= {"counted": after.count, "counted_at": from_ms(after.at_ms)}
    for change in correction.changes:
        id_ = derived_id(VerdictChanged.subject, change.before.hit.id, change.before.changes + 1)
        yield Announcement(_changed(delivery, change, moved), id_)
        moved = {}


def _changed(delivery: Delivery, change: Change, moved: dict[str, Any]) -> VerdictChanged:
    hit = change.before.hit
    return VerdictChanged(
        **_facts(delivery),
        **moved,
        occurred_at=from_ms(hit.at_ms),
        hit_id=hit.id,
        hit_kind="clicked" if hit.kind is HitKind.CLICKED else "opened",
        old_verdict=change.before.judgement.verdict,
        verdict=change.judgement.verdict,
        reason=change.judgement.reason,
        rules=RULES_VERSION,
    )


def _common(judged: JudgedHit) -> dict[str, Any]:
    return {**_facts(judged.delivery), "occurred_at": from_ms(judged.hit.at_ms)}


def _facts(delivery: Delivery) -> dict[str, Any]:
    facts = asdict(delivery)
    del facts["sent_ms"]
    return facts


def _verdict(judged: JudgedHit, first: int) -> dict[str, Any]:
    judgement = judged.judgement
    told = {"verdict": judgement.verdict, "reason": judgement.reason, "first": bool(first)}
    return {**told, "count": max(1, first)}


def _method(hit: Hit) -> Literal["one-click", "page"]:
    return "one-click" if hit.way == "one-click" else "page"
