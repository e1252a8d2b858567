"""Mails between senders of the fleet are nobody's success: no figure counts them."""

import pytest

from postfleet.events.deliveries import (
    BounceHard,
    BounceSoft,
    DeliveryEvent,
    EmailFailed,
    EmailSent,
    EmailSkipped,
)
from postfleet.events.inbox import ComplaintReceived
from tests.support.eventsamples import sample
from tracker.domain.facts import facts_of

_TOLD = (
    EmailSent,
    EmailFailed,
    EmailSkipped,
    BounceHard,
    BounceSoft,
    ComplaintReceived,
)


@pytest.mark.seed("S31", "S200")
@pytest.mark.parametrize("cls", _TOLD)
def test_no_figure_counts_a_warm_up_mail(cls: type[DeliveryEvent]) -> None:
    assert list(facts_of(sample(cls, warmup=True))) == []
    assert len(list(facts_of(sample(cls, warmup=False)))) == 1
