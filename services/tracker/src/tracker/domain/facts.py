"""What an event adds to the statistics: facts that count once, and the counters they count in.

A fact's id says what must not be counted twice: a delivery is opened once however often its pixel
is loaded. It belongs to the day of the first event that said so.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from postfleet.addresses import domain_of
from postfleet.events.deliveries import (
    Bounce,
    BounceHard,
    BounceSoft,
    DeliveryEvent,
    EmailFailed,
    EmailSent,
    EmailSkipped,
)
from postfleet.events.event import Event
from postfleet.events.inbox import ComplaintReceived, ReplyAutomatic, ReplyDetected
from postfleet.events.tracking import (
    EmailClicked,
    EmailOpened,
    HitEvent,
    RecipientUnsubscribed,
    VerdictChanged,
)
from postfleet.instants import from_ms, to_ms
from tracker.domain.providers import provider_of

_HOUR_MS = 3_600_000

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
    EmailSent: "sent",
    EmailOpened: "opened",
    EmailClicked: "clicked",
    ReplyDetected: "replied",
    BounceHard: "bounced_hard",
    BounceSoft: "bounced_soft",
    ComplaintReceived: "complained",
    ReplyAutomatic: "auto_replied",
    EmailSkipped: "skipped",
    EmailFailed: "failed",
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
    value: int = 1  # -1 takes back what an earlier fact added


def day_counter(at_ms: int) -> Counter:
    return Counter("day", (("bucket", from_ms(at_ms).strftime("%Y-%m-%d")),))


def hour_counter(at_ms: int) -> Counter:
    return Counter("hour", (("bucket", from_ms(at_ms).strftime("%Y-%m-%dT%H")),))


OVERALL = Counter("overall")


def facts_of(event: Event) -> Iterator[Fact]:
    """The facts that this event states; none for most events."""
    if isinstance(event, RecipientUnsubscribed):
        yield from _unsubscribed(event)
        return
    if isinstance(event, VerdictChanged):
        yield from _corrected(event)
        return
    if isinstance(event, HitEvent) and not event.first:
        return
    metric = _PER_DELIVERY.get(type(event))
    if metric is None or not isinstance(event, DeliveryEvent) or event.warmup:
        return
    at_ms = to_ms(event.occurred_at)
    counters = _counters(event, at_ms)
    if isinstance(event, Bounce):
        counters = (*counters, Counter("bounce", (("category", event.category or "unknown"),)))
    count = event.count if isinstance(event, HitEvent) else 1
    yield Fact(_counted(metric, event.delivery_id, count), metric, at_ms, counters)


def _corrected(event: VerdictChanged) -> Iterator[Fact]:
    """Takes the numbered count back, and counts the next one: each once, in whatever order."""
    metric = event.hit_kind
    if event.uncounted and event.uncounted_at:
        at_ms = to_ms(event.uncounted_at)
        key = f"not-{_counted(metric, event.delivery_id, event.uncounted)}"
        yield Fact(key, metric, at_ms, _counters(event, at_ms), -1)
    if event.counted and event.counted_at:
        at_ms = to_ms(event.counted_at)
        key = _counted(metric, event.delivery_id, event.counted)
        yield Fact(key, metric, at_ms, _counters(event, at_ms))


def _counted(metric: str, delivery_id: str, count: int) -> str:
    return f"{metric}:{delivery_id}" if count == 1 else f"{metric}:{delivery_id}:{count}"


def _counters(event: DeliveryEvent, at_ms: int) -> tuple[Counter, ...]:
    return _of_delivery(
        at_ms // _HOUR_MS,
        event.sender_id,
        event.campaign_id,
        event.step,
        event.variant,
        domain_of(event.message_id.rstrip(">")),
        provider_of(event.recipient),
    )


def _unsubscribed(event: RecipientUnsubscribed) -> Iterator[Fact]:
    """A recipient leaves once; in a sender's, a domain's and a campaign's figures once for each."""
    at_ms, recipient = to_ms(event.occurred_at), event.recipient.lower()
    counters = (*_everywhere(at_ms // _HOUR_MS), *_receiver(provider_of(recipient)))
    yield Fact(f"unsubscribed:{recipient}", "unsubscribed", at_ms, counters)
    if event.sender_id:
        key = f"unsubscribed:{recipient}:sender:{event.sender_id}"
        yield Fact(key, "unsubscribed", at_ms, _sender(event.sender_id))
    if domain := domain_of((event.message_id or "").rstrip(">")):
        key = f"unsubscribed:{recipient}:domain:{domain}"
        yield Fact(key, "unsubscribed", at_ms, _sending_domain(domain))
    if event.campaign_id:
        key = f"unsubscribed:{recipient}:campaign:{event.campaign_id}"
        campaign = _campaign(event.campaign_id, event.sender_id, event.step, event.variant)
        yield Fact(key, "unsubscribed", at_ms, campaign)


@lru_cache(maxsize=50_000)
def _of_delivery(
    hour: int,
    sender_id: str,
    campaign_id: str | None,
    step: int | None,
    variant: str | None,
    domain: str,
    provider: str,
) -> tuple[Counter, ...]:
    return (
        *_everywhere(hour),
        *_sender(sender_id),
        *_sending_domain(domain),
        *_receiver(provider),
        *_campaign(campaign_id, sender_id, step, variant),
    )


def _everywhere(hour: int) -> tuple[Counter, ...]:
    return OVERALL, day_counter(hour * _HOUR_MS), hour_counter(hour * _HOUR_MS)


def _sender(sender_id: str) -> tuple[Counter, ...]:
    return (Counter("sender", (("sender", sender_id),)),)


def _sending_domain(domain: str) -> tuple[Counter, ...]:
    return (Counter("domain", (("domain", domain),)),) if domain else ()


def _receiver(provider: str) -> tuple[Counter, ...]:
    return (Counter("receiver", (("receiver", provider),)),)


@lru_cache(maxsize=50_000)
def _campaign(
    campaign_id: str | None, sender_id: str | None, step: int | None, variant: str | None
) -> tuple[Counter, ...]:
    if campaign_id is None:
        return ()
    campaign = (("campaign", campaign_id),)
    found = [Counter("campaign", campaign)]
    if sender_id:
        found.append(Counter("campaign-sender", (*campaign, ("sender", sender_id))))
    if step is not None:
        of_step = (*campaign, ("step", str(step)))
        found.append(Counter("step", of_step))
        found.append(Counter("variant", (*of_step, ("variant", variant or ""))))
    return tuple(found)


Additions = dict[Counter, dict[str, int]]


def plan(facts: Iterable[Fact]) -> Additions:
    """What to add to which counter for these facts, each of which counts once."""
    together: dict[tuple[str, int], tuple[Fact, int]] = {}
    for fact in facts:  # facts of one hour, sender and step share one tuple of counters
        key = fact.metric, id(fact.counters)
        together[key] = fact, together.get(key, (fact, 0))[1] + fact.value
    additions: Additions = {}
    for fact, count in together.values():
        for counter in fact.counters:
            metrics = additions.setdefault(counter, {})
            metrics[fact.metric] = metrics.get(fact.metric, 0) + count
    return additions
