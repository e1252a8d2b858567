"""How what was planned becomes batches: one sender, one step and variant, not too many deliveries."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from dispatcher.domain.campaigns import Campaign, variant_for
from dispatcher.domain.identity import delivery_id
from dispatcher.domain.ledger import Batch, Item, Origin
from dispatcher.domain.outcomes import Outcome


def first_item(campaign_id: str, lead_id: str, address: str, step: int) -> Item:
    """The first attempt of a lead's step; its id follows from what it is."""
    return Item(delivery_id(campaign_id, lead_id, step), lead_id, address)


def again_item(item: Item, state: str) -> Item:
    """A deferred delivery gets a new attempt; a postponed one was not tried at all."""
    return replace(item, attempt=item.attempt + (state == Outcome.DEFERRED.value))


def unsent(campaign: Campaign, step: int, items: Iterable[Item], moment: int) -> Batch:
    """A batch that no sender gets: for deliveries that are settled without a try."""
    origin = Origin(campaign.id, step, "", "", campaign.category)
    return Batch(uuid.uuid4().hex, origin, tuple(items), moment)


def origin_of(campaign: Campaign, step: int, lead_id: str, sender_id: str) -> Origin:
    """Where a lead's mail belongs; the variant is the same at every planning."""
    variant = variant_for(campaign.steps[step], lead_id, campaign.id)
    return Origin(campaign.id, step, variant.name, sender_id, campaign.category)


def batches(
    origin: Origin, items: Sequence[Item], moment: int, reasons: str, most: int
) -> Iterator[Batch]:
    """All items of one origin, `most` to a batch."""
    for start in range(0, len(items), most):
        part = tuple(items[start : start + most])
        yield Batch(uuid.uuid4().hex, origin, part, moment, reasons)
