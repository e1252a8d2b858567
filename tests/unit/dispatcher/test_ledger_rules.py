"""Outcomes, retries, ids and the events that follow: tables an operator would ask for."""

from typing import Any

import pytest

from dispatcher.domain.identity import attempt_id, delivery_id, lead_id, message_id
from dispatcher.domain.ledger import Batch, Item, Origin, Settled, announcements
from dispatcher.domain.outcomes import Outcome
from postfleet.cloudevents import Announcement, parse
from postfleet.events.deliveries import BounceHard, EmailDeferred, EmailFailed, EmailSent
from postfleet.smtp import SmtpReply

ORIGIN = Origin("spring", 1, "A", "s1", "campaign")
ITEM = Item("d" * 32, "lead", "jo@x.test", 2)


def settled(outcome: Outcome, **fields: Any) -> Settled:
    return Settled(ITEM, outcome, 1_800_000_000_000, message_id="<m@fleet.test>", **fields)


@pytest.mark.parametrize(
    ("fact", "subjects"),
    [
        pytest.param(settled(Outcome.ACCEPTED, reply_code=250), ["email.sent"], id="accepted"),
        pytest.param(settled(Outcome.UNKNOWN), ["email.unknown"], id="unknown"),
        pytest.param(settled(Outcome.SKIPPED, reason="replied"), ["email.skipped"], id="skipped"),
        pytest.param(settled(Outcome.POSTPONED, retry_at=1), [], id="postponed: nothing happened"),
        pytest.param(
            settled(Outcome.FAILED, fault="recipient", meaning="unknown_user"),
            ["email.failed", "bounce.hard"],
            id="failed: a dead address",
        ),
        pytest.param(
            settled(Outcome.FAILED, fault="recipient", meaning="expired"),
            ["email.failed", "bounce.soft"],
            id="failed: the address may be good",
        ),
        pytest.param(
            settled(Outcome.FAILED, fault="recipient", meaning="restricted"),
            ["email.failed"],
            id="failed: not wanted is no bounce",
        ),
        pytest.param(
            settled(Outcome.FAILED, fault="sender", meaning="policy"),
            ["email.failed"],
            id="failed: the sender's fault is no bounce",
        ),
        pytest.param(
            settled(Outcome.DEFERRED, fault="recipient", meaning="greylisted", retry_at=1),
            ["email.deferred"],
            id="deferred",
        ),
        pytest.param(
            settled(Outcome.DEFERRED, fault="recipient", meaning="mailbox_full", soft_bounce=True),
            ["email.deferred", "bounce.soft"],
            id="deferred: a soft bounce",
        ),
    ],
)
def test_the_events_that_follow_have_ids_that_repeat(fact: Settled, subjects: list[str]) -> None:
    said = announcements(ORIGIN, fact)
    assert [a.subject for a in said] == subjects
    assert [a.id for a in said] == [a.id for a in announcements(ORIGIN, fact)]
    assert len({a.id for a in said}) == len(said)
    for one in said:
        assert one.event.aggregate_id == ITEM.delivery_id


def test_events_of_two_attempts_differ() -> None:
    first = Settled(Item("d" * 32, "lead", "jo@x.test", 1), Outcome.UNKNOWN, 0)
    second = Settled(Item("d" * 32, "lead", "jo@x.test", 2), Outcome.UNKNOWN, 0)
    assert announcements(ORIGIN, first)[0].id != announcements(ORIGIN, second)[0].id


def test_events_carry_what_the_server_said() -> None:
    fact = settled(Outcome.ACCEPTED, author="a@fleet.test", mail_subject="Hi")
    (sent,) = announcements(ORIGIN, fact.with_reply(SmtpReply(250, "2.0.0 " + "x" * 5000)))
    assert isinstance(sent.event, EmailSent)
    assert (sent.event.reply_code, sent.event.enhanced_status) == (250, "2.0.0")
    assert len(sent.event.reply_text) == 1000
    assert (sent.event.step, sent.event.author, sent.event.attempt) == (1, "a@fleet.test", 2)
    failed, bounce = announcements(
        ORIGIN,
        settled(Outcome.FAILED, fault="recipient", meaning="unknown_user").with_reply(
            SmtpReply(550, "5.1.1 no")
        ),
    )
    assert isinstance(failed.event, EmailFailed)
    assert isinstance(bounce.event, BounceHard)
    assert (bounce.event.diagnostic, bounce.event.observed) == ("smtp; 550 5.1.1 no", "smtp")
    (deferred,) = announcements(
        ORIGIN, settled(Outcome.DEFERRED, fault="connection", retry_at=1_800_000_001_000)
    )
    assert isinstance(deferred.event, EmailDeferred)
    assert deferred.event.retry_at.timestamp() == 1_800_000_001


def test_within_an_attempt_only_stronger_facts_win_and_later_attempts_always() -> None:
    order = [Outcome.POSTPONED, Outcome.UNKNOWN, Outcome.DEFERRED, Outcome.FAILED, Outcome.ACCEPTED]
    ranks = [settled(outcome).rank for outcome in order]
    assert ranks == sorted(set(ranks))
    later = Settled(Item("d", "l", "r", 3), Outcome.POSTPONED, 0)
    assert later.rank > max(ranks)


def test_ids_follow_from_what_they_stand_for() -> None:
    assert lead_id("jo@x.test") == lead_id("jo@x.test") != lead_id("al@x.test")
    ids = {delivery_id(c, lead, s) for c in ("a", "b") for lead in ("x", "y") for s in (0, 1)}
    assert len(ids) == 8
    assert all(len(bytes.fromhex(one)) == 16 for one in ids)
    assert attempt_id("d", 1) != attempt_id("d", 2)


def test_a_message_id_is_on_the_authors_domain_and_cannot_be_guessed() -> None:
    one = message_id("d" * 32, "ann@Fleet.test", b"key")
    assert one == message_id("d" * 32, "other@fleet.test", b"key")
    assert one != message_id("d" * 32, "ann@fleet.test", b"another key")
    assert one.startswith("<" + "d" * 32 + ".")
    assert one.endswith("@fleet.test>")


def test_the_key_of_an_attempt_names_delivery_and_number() -> None:
    assert Batch("b", ORIGIN, (ITEM,), 0).items[0].key == attempt_id("d" * 32, 2)


@pytest.mark.parametrize("campaign", ["spring", ""])
@pytest.mark.parametrize("text", ["2.0.0 queued", "", "2.0.0 öäü \u2028 \x00"])
def test_an_event_that_is_not_validated_again_says_what_the_validated_one_would(
    campaign: str, text: str
) -> None:
    origin = Origin(campaign, 1, "B", "s1", "campaign")
    item = Item("d1", "l1", "jo@x.test", 2)
    base = Settled(item, Outcome.ACCEPTED, 1_800_000_000_123, message_id="<m@x.test>")
    settled = base.with_reply(SmtpReply(250, text))
    [announcement] = announcements(origin, settled)
    event = announcement.event
    validated = type(event).model_validate(
        {name: getattr(event, name) for name in event.model_fields_set}
    )
    assert event == validated
    assert announcement.body() == Announcement(validated).body()
    assert parse("email.sent", announcement.headers("dispatcher"), announcement.body()) == validated


@pytest.mark.parametrize("same", [False, True])
def test_a_deferral_says_whether_another_mail_stands_for_the_outage(same: bool) -> None:
    fact = settled(Outcome.DEFERRED, fault="connection", retry_at=1, same_outage=same)
    (deferred,) = announcements(ORIGIN, fact)
    assert isinstance(deferred.event, EmailDeferred)
    assert deferred.event.same_outage is same
