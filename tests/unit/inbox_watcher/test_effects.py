"""Which delivery a mail belongs to, and which events follow from it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from inbox_watcher.domain.effects import announcements
from inbox_watcher.domain.matching import (
    Match,
    Sent,
    address_keys,
    as_answer,
    match_by_address,
    match_by_keys,
    match_by_subject,
    message_keys,
    plain_subject,
    worth_waiting,
)
from inbox_watcher.domain.understood import Kind, Recipient, Understood
from postfleet.smtp_reply import Severity

_NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
_SENT = Sent("m1@x", "delivery", "sender", "ann@lead.test", 1000, campaign_id="c", step=2)
_MAIL = Understood(Kind.REPLY, "", "ann@lead.test", "Re: Hi", "r1@lead", "key", personal=True)


def said(mail: Understood, matched_by: str = "in_reply_to") -> list[tuple[str, str]]:
    events = announcements(mail, Match(_SENT, matched_by), "inbound", _NOW, _NOW)
    return [(event.subject, event.id) for event in events]


@pytest.mark.parametrize(
    ("kind", "severity", "subject"),
    [
        (Kind.REPLY, None, "reply.detected"),
        (Kind.AUTO, None, "reply.automatic"),
        (Kind.CHALLENGE, None, "reply.automatic"),
        (Kind.COMPLAINT, None, "complaint.received"),
        (Kind.DELAY, None, "delivery.delayed"),
        (Kind.BOUNCE, Severity.HARD, "bounce.hard"),
        (Kind.BOUNCE, Severity.SOFT, "bounce.soft"),
        (Kind.BOUNCE, Severity.POLICY, "bounce.soft"),
    ],
)
def test_each_kind_says_its_event(kind: Kind, severity: Severity | None, subject: str) -> None:
    recipients = (Recipient("ann@lead.test", severity=severity),)
    events = said(replace(_MAIL, kind=kind, recipients=recipients))
    assert [name for name, _ in events] == [subject]


@pytest.mark.parametrize("kind", [Kind.SUCCESS, Kind.MDN, Kind.UNRELATED])
def test_a_receipt_says_nothing(kind: Kind) -> None:
    assert said(replace(_MAIL, kind=kind, personal=False)) == []


def test_a_second_reply_is_another_event_and_the_same_mail_is_not() -> None:
    other = replace(_MAIL, key="another key")
    assert said(_MAIL) == said(_MAIL, "references")
    assert said(_MAIL) != said(other)


def test_two_dsns_about_one_delivery_are_one_event() -> None:
    bounce = replace(_MAIL, kind=Kind.BOUNCE, recipients=(Recipient("ann@lead.test"),))
    assert said(bounce) == said(replace(bounce, key="another key"))


def test_of_several_recipients_the_one_that_we_mailed_counts() -> None:
    recipients = (
        Recipient("bob@lead.test", severity=Severity.SOFT),
        Recipient("forward@else.test", "ANN@lead.test", "5.1.1", Severity.HARD),
    )
    (event,) = announcements(
        replace(_MAIL, kind=Kind.BOUNCE, recipients=recipients),
        Match(_SENT, "recipient"),
        "inbound",
        _NOW,
        _NOW,
    )
    assert event.subject == "bounce.hard"
    assert event.event.model_dump()["enhanced_status"] == "5.1.1"


def test_the_returned_id_comes_before_in_reply_to_and_the_last_reference_before_the_first() -> None:
    mail = replace(
        _MAIL, original_message_id="returned", in_reply_to=("parent",), references=("first", "last")
    )
    assert [(key.id, key.matched_by) for key in message_keys(mail)] == [
        ("returned", "returned_message_id"),
        ("parent", "in_reply_to"),
        ("last", "references"),
        ("first", "references"),
    ]
    found = match_by_keys(
        message_keys(mail), {"first": _SENT, "last": replace(_SENT, delivery_id="nearer")}
    )
    assert found is not None
    assert (found.sent.delivery_id, found.matched_by) == ("nearer", "references")


@pytest.mark.parametrize(
    ("mail", "keys"),
    [
        pytest.param(_MAIL, ["ann@lead.test"], id="a reply: its author"),
        pytest.param(
            replace(_MAIL, kind=Kind.BOUNCE, recipients=(Recipient("a@x", "b@x"),)),
            ["a@x", "b@x"],
            id="a bounce: whom it is about",
        ),
        pytest.param(replace(_MAIL, kind=Kind.BOUNCE, personal=False), [], id="about nobody"),
        pytest.param(
            replace(_MAIL, kind=Kind.UNRELATED, personal=False), [], id="bulk mail: nobody's reply"
        ),
    ],
)
def test_addresses_to_match_by(mail: Understood, keys: list[str]) -> None:
    assert address_keys(mail) == keys


def test_only_what_may_have_an_effect_waits_for_its_delivery() -> None:
    waits = {kind for kind in Kind if worth_waiting(replace(_MAIL, kind=kind))}
    nothing_to_wait_for = {Kind.UNRELATED, Kind.SUCCESS, Kind.MDN}
    assert waits == set(Kind) - nothing_to_wait_for


def test_a_new_mail_of_somebody_we_mailed_is_a_reply_and_a_newsletter_is_none() -> None:
    new_mail = replace(_MAIL, kind=Kind.UNRELATED)
    assert as_answer(new_mail).kind is Kind.REPLY
    assert as_answer(replace(new_mail, personal=False)).kind is Kind.UNRELATED
    assert as_answer(replace(_MAIL, kind=Kind.AUTO)).kind is Kind.AUTO


def test_of_several_mails_to_one_address_the_one_of_the_same_subject_is_answered() -> None:
    first = replace(_SENT, message_id="1", subject="Our offer", sent_at=1)
    last = replace(_SENT, message_id="2", subject="Something else", sent_at=2)
    mail = replace(_MAIL, subject="AW: RE: our  offer")
    found = match_by_address(mail, [last, first])
    assert found is not None
    assert (found.sent, found.matched_by, found.confidence) == (first, "author_and_subject", 0.9)
    found = match_by_address(replace(mail, subject="Hm"), [first, last])
    assert found is not None
    assert (found.sent, found.matched_by, found.confidence) == (last, "author", 0.7)
    bounce = replace(_MAIL, kind=Kind.BOUNCE, subject="", recipients=(Recipient("ann@lead.test"),))
    found = match_by_address(bounce, [first])
    assert found is not None
    assert (found.matched_by, found.confidence) == ("recipient", 0.8)
    assert match_by_address(mail, []) is None


def test_a_colleagues_answer_is_matched_by_its_subject_if_only_one_mail_went_to_that_domain() -> (
    None
):
    mail = replace(_MAIL, author="boss@lead.test")
    elsewhere = replace(_SENT, recipient="x@other.test")
    found = match_by_subject(mail, [_SENT, elsewhere])
    assert found is not None
    assert (found.sent, found.confidence) == (_SENT, 0.5)
    assert match_by_subject(mail, [_SENT, replace(_SENT, recipient="bob@lead.test")]) is None
    assert match_by_subject(mail, [elsewhere]) is None
    assert match_by_subject(replace(mail, kind=Kind.UNRELATED), [_SENT]) is None


@pytest.mark.parametrize(
    "subject",
    [
        "Our Offer",
        "Re: our offer",
        "AW: WG: [Ext] our  offer",
        "回复\uff1aOur offer",
        "Re[2]: Our offer",
    ],
)
def test_a_subject_is_the_same_whatever_clients_put_before_it(subject: str) -> None:
    assert plain_subject(subject) == "our offer"
