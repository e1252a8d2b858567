"""What became of mails moves health, counts and the errors in a row."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from postfleet.events.event import Event
from sender_registry.domain.cooldown import Streak
from sender_registry.domain.outcomes import apply
from sender_registry.domain.sender import Counts
from tests.unit.sender_registry.samples import (
    NOW,
    NOW_MS,
    complaint,
    deferred,
    failed,
    hard,
    received,
    sender,
    sent,
    soft,
    unknown,
)


@pytest.mark.seed("S29", "S30", "S36", "S37", "S38", "S39", "S190", "S194", "C1")
@pytest.mark.parametrize(
    ("before", "events", "after"),
    [
        pytest.param(50, [sent()], 51, id="a success is one more"),
        pytest.param(100, [sent()], 100, id="never above 100"),
        pytest.param(50, [soft()], 45, id="a soft bounce is five less"),
        pytest.param(50, [hard(enhanced_status="5.1.1")], 35, id="an unknown user is fifteen less"),
        pytest.param(50, [hard(category="recipient_invalid")], 35, id="known by its category"),
        pytest.param(
            50,
            [hard(enhanced_status="5.7.1", category="policy")],
            40,
            id="a policy refusal is ten less",
        ),
        pytest.param(
            50, [hard(enhanced_status="5.1.8")], 40, id="5.1.8 is about the sender's address"
        ),
        pytest.param(10, [hard(enhanced_status="5.1.1")], 0, id="never below nothing"),
        pytest.param(50, [complaint()], 35, id="a complaint counts as the worst bounce"),
        pytest.param(
            50, [failed(fault="content", reply_code=554)], 40, id="a permanent failure of content"
        ),
        pytest.param(
            50,
            [failed(fault="recipient", reply_code=550)],
            50,
            id="the recipient's is told as a bounce",
        ),
        pytest.param(
            50, [failed(fault="connection")], 50, id="no connection says nothing about reputation"
        ),
        pytest.param(
            50,
            [failed(fault="sender", reply_code=451)],
            50,
            id="a transient reply is no permanent failure",
        ),
        pytest.param(
            50, [deferred(fault="connection"), unknown("d2")], 50, id="waiting costs nothing"
        ),
        pytest.param(
            50,
            [failed(reply_code=550), hard(enhanced_status="5.1.1")],
            35,
            id="refusal and bounce are one",
        ),
        pytest.param(
            50,
            [hard(enhanced_status="5.1.1"), hard(observed="dsn", enhanced_status="5.1.1")],
            35,
            id="reply and DSN are one",
        ),
        pytest.param(
            50, [soft(), hard(enhanced_status="5.1.1")], 35, id="the worse one replaces the better"
        ),
        pytest.param(
            50,
            [hard(enhanced_status="5.1.1"), soft()],
            35,
            id="the better one after the worse adds nothing",
        ),
        pytest.param(50, [soft(), soft()], 45, id="a delivery deferred twice is punished once"),
        pytest.param(
            50, [soft(), sent(attempt=2)], 45, id="a success after a soft bounce earns nothing"
        ),
        pytest.param(
            100,
            [sent(), hard(observed="dsn", enhanced_status="5.1.1")],
            85,
            id="a late DSN counts in full",
        ),
        pytest.param(50, [soft("d1"), soft("d2")], 40, id="two deliveries are two"),
    ],
)
def test_health_moves_once_per_delivery(before: int, events: Sequence[Event], after: int) -> None:
    assert apply(sender(health=before), received(*events), {}, NOW_MS).sender.health == after


def test_punishments_of_earlier_batches_are_known() -> None:
    first = apply(sender(health=50), received(soft()), {}, NOW_MS)
    assert first.penalties == {"d1": -5}
    second = apply(first.sender, received(hard(enhanced_status="5.1.1")), first.penalties, NOW_MS)
    assert (second.sender.health, second.penalties) == (35, {"d1": -15})
    third = apply(second.sender, received(soft()), second.penalties, NOW_MS)
    assert (third.sender.health, third.penalties) == (35, {})


@pytest.mark.seed("S35")
@pytest.mark.parametrize(
    ("events", "streak"),
    [
        pytest.param([deferred(fault="connection")], 1, id="no connection"),
        pytest.param(
            [deferred(fault="connection"), *[deferred(fault="connection", same_outage=True)] * 9],
            1,
            id="no connection, and ten mails that waited for it",
        ),
        pytest.param([failed(fault="sender", reply_code=535)], 1, id="the log-in was refused"),
        pytest.param([unknown()], 1, id="the connection was lost after the dot"),
        pytest.param([deferred(fault="recipient")], 0, id="the mailbox is full"),
        pytest.param([failed(fault="recipient", reply_code=550)], 0, id="the user is unknown"),
        pytest.param([failed(fault="content", reply_code=554)], 0, id="the content was refused"),
        pytest.param(
            [deferred(fault="connection"), deferred(fault="recipient"), deferred(fault="sender")],
            2,
            id="recipients do not interrupt",
        ),
        pytest.param(
            [deferred(fault="connection"), sent("d2"), deferred(fault="sender")],
            1,
            id="a success does",
        ),
    ],
)
def test_only_faults_of_sender_and_connection_count_as_errors(
    events: Sequence[Event], streak: int
) -> None:
    assert apply(sender(), received(*events), {}, NOW_MS).sender.streak == Streak(streak)


@pytest.mark.seed("S34", "S35")
def test_three_errors_start_a_cooldown_of_thirty_minutes() -> None:
    events = received(*[deferred(f"d{n}", fault="connection") for n in range(3)])
    after = apply(sender(), events, {}, NOW_MS).sender
    assert after.streak == Streak(0, NOW_MS + 30 * 60_000)


@pytest.mark.parametrize(
    ("counts", "days", "expected"),
    [
        pytest.param(Counts(), 0, Counts("2026-11-21", 1, "2026-11", 1), id="the first mail"),
        pytest.param(
            Counts("2026-11-21", 4, "2026-11", 9),
            0,
            Counts("2026-11-21", 5, "2026-11", 10),
            id="one more today",
        ),
        pytest.param(
            Counts("2026-11-20", 4, "2026-11", 9),
            0,
            Counts("2026-11-21", 1, "2026-11", 10),
            id="a new day",
        ),
        pytest.param(
            Counts("2026-10-31", 4, "2026-10", 9),
            0,
            Counts("2026-11-21", 1, "2026-11", 1),
            id="a new month",
        ),
        pytest.param(
            Counts("2026-11-21", 4, "2026-11", 9),
            -1,
            Counts("2026-11-21", 4, "2026-11", 10),
            id="late news of yesterday",
        ),
        pytest.param(
            Counts("2026-11-21", 4, "2026-11", 9),
            -30,
            Counts("2026-11-21", 4, "2026-11", 9),
            id="late news of last month",
        ),
    ],
)
def test_days_and_months_count_by_the_time_of_the_mail(
    counts: Counts, days: int, expected: Counts
) -> None:
    event = sent(at=NOW + timedelta(days=days))
    assert apply(sender(counts=counts), received(event), {}, NOW_MS).sender.counts == expected


@pytest.mark.seed("C10")
@pytest.mark.parametrize(
    ("event", "cause"),
    [
        pytest.param(hard(category="unknown_user"), "list", id="an address that nobody has"),
        pytest.param(hard(category="spam"), "content", id="it looked like spam"),
        pytest.param(hard(category="authentication"), "domain", id="SPF, DKIM or DMARC"),
        pytest.param(hard(category="sender_rejected"), "sender", id="the sender is refused"),
        pytest.param(hard(category="policy"), "receiver", id="a rule of the receiver"),
        pytest.param(soft(category="mailbox_full"), "receiver", id="the mailbox is full"),
        pytest.param(complaint(), "list", id="somebody who did not want it"),
        pytest.param(failed(fault="content", reply_code=554), "content", id="a refused mail"),
        pytest.param(failed(fault="sender", reply_code=550), "sender", id="a refused sender"),
    ],
)
def test_a_loss_of_health_has_a_cause_that_stays_until_the_next(event: Event, cause: str) -> None:
    lower = apply(sender(health=50), received(event), {}, NOW_MS).sender
    assert lower.health_cause == cause
    better = apply(lower, received(sent("d9")), {}, NOW_MS).sender
    assert (better.health, better.health_cause) == (lower.health + 1, cause)
