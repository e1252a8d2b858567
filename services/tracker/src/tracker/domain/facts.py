"""What an event adds to the statistics: facts that count once, and the counters they count in.

A fact's id says what must not be counted twice: a delivery is opened once however often its pixel
is loaded. It belongs to the day of the first event that said so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from postfleet import events
from postfleet.events import Event
from postfleet.instants import from_ms, to_ms

METRICS = (
    "sent",
    "opened",
    "clicked",
    "replied",
    "bounced_hard",
    "bounced_soft",
    "unsubscribed",
    "complained",
    "auto_replied",
    "skipped",
    "failed",
)

_PER_DELIVERY: dict[type[Event], str] = {
    events.EmailSent: "sent",
    events.EmailOpened: "opened",
    events.EmailClicked: "clicked",
    events.ReplyDetected: "replied",
    events.BounceHard: "bounced_hard",
    events.BounceSoft: "bounced_soft",
    events.ComplaintReceived: "complained",
    events.ReplyAutomatic: "auto_replied",
    events.EmailSkipped: "skipped",
    events.EmailFailed: "failed",
}


@dataclass(frozen=True, slots=True)
class Counter:
    """Which counter: `scope` is its kind, `labels` tell it from others of this kind."""

    scope: str
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        return ":".join((self.scope, *(value for _, value in self.labels)))


@dataclass(frozen=True, slots=True)
class Fact:
    id: str
    metric: str
    at_ms: int
    counters: tuple[Counter, ...] = field(default=())


def day_counter(at_ms: int) -> Counter:
    return Counter("day", (("bucket", from_ms(at_ms).strftime("%Y-%m-%d")),))


def hour_counter(at_ms: int) -> Counter:
    return Counter("hour", (("bucket", from_ms(at_ms).strftime("%Y-%m-%dT%H")),))


OVERALL = Counter("overall")


def facts_of(event: Event) -> Iterator[Fact]:
    """The facts that this event states; none for most events."""
    if isinstance(event, events.RecipientUnsubscribed):
        yield from _unsubscribed(event)
        return
    if isinstance(event, events.HitEvent) and not event.first:
        return
    metric = _PER_DELIVERY.get(type(event))
    if metric is None or not isinstance(event, events.DeliveryEvent):
        return
    at_ms = to_ms(event.occurred_at)
    counters = (*_everywhere(at_ms), *_sender(event.sender_id), *_campaign(event))
    yield Fact(f"{metric}:{event.delivery_id}", metric, at_ms, counters)


def _unsubscribed(event: events.RecipientUnsubscribed) -> Iterator[Fact]:
    """A recipient leaves once; in the figures of a campaign, once for each campaign."""
    at_ms, recipient = to_ms(event.occurred_at), event.recipient.lower()
    yield Fact(f"unsubscribed:{recipient}", "unsubscribed", at_ms, _everywhere(at_ms))
    if event.sender_id:
        key = f"unsubscribed:{recipient}:sender:{event.sender_id}"
        yield Fact(key, "unsubscribed", at_ms, _sender(event.sender_id))
    if event.campaign_id:
        key = f"unsubscribed:{recipient}:campaign:{event.campaign_id}"
        yield Fact(key, "unsubscribed", at_ms, _campaign(event))


def _everywhere(at_ms: int) -> tuple[Counter, ...]:
    return OVERALL, day_counter(at_ms), hour_counter(at_ms)


def _sender(sender_id: str) -> tuple[Counter, ...]:
    return (Counter("sender", (("sender", sender_id),)),)


def _campaign(event: events.DeliveryEvent | events.RecipientUnsubscribed) -> tuple[Counter, ...]:
    if event.campaign_id is None:
        return ()
    campaign = (("campaign", event.campaign_id),)
    found = [Counter("campaign", campaign)]
    if event.sender_id:
        found.append(Counter("campaign-sender", (*campaign, ("sender", event.sender_id))))
    if event.step is not None:
        step = (*campaign, ("step", str(event.step)))
        found.append(Counter("step", step))
        found.append(Counter("variant", (*step, ("variant", event.variant or ""))))
    return tuple(found)


def plan(facts: list[Fact]) -> dict[Counter, dict[str, int]]:
    """What to add to which counter for these facts, each of which counts once."""
    additions: dict[Counter, dict[str, int]] = {}
    for fact in facts:
        for counter in fact.counters:
            metrics = additions.setdefault(counter, {})
            metrics[fact.metric] = metrics.get(fact.metric, 0) + 1
    return additions
