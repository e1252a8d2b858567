"""The classes of events: what each must carry, and what a reader may ignore."""

import inspect
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from postfleet.events import EVENTS
from postfleet.events.deliveries import EmailSent
from postfleet.events.event import Event
from postfleet.events.inbox import ReplyDetected
from postfleet.events.senders import SenderStatus
from postfleet.instants import iso
from postfleet.topology import EVENT_STREAM
from tests.support.eventsamples import MOMENT, sample

FAMILIES = {
    "alias", "bounce", "campaign", "complaint", "credential", "delivery", "domain",
    "email", "factor", "mailbox", "person", "recipient", "reply", "sender", "sender_request",
    "verdict", "warmup", "watcher", "webhook",
}  # fmt: skip
SERVICES = {"sender-registry", "dispatcher", "inbox-watcher", "tracker", "mail-provisioner"}


@pytest.mark.parametrize("subject", sorted(EVENTS))
def test_every_event_says_its_subject_source_aggregate_and_meaning(subject: str) -> None:
    cls = EVENTS[subject]
    noun, _, verb = subject.partition(".")
    assert noun in FAMILIES
    assert verb
    assert "." not in verb, "subjects are flat: no ids in them"
    assert cls.source in SERVICES
    assert cls.aggregate in cls.model_fields
    assert "__doc__" in vars(cls)
    assert len(inspect.getdoc(cls) or "") > 15


def test_the_stream_holds_every_family_of_events() -> None:
    assert set(EVENT_STREAM.subjects) == {f"{family}.*" for family in FAMILIES}
    assert {subject.split(".")[0] for subject in EVENTS} == FAMILIES


def test_no_two_classes_share_a_subject() -> None:
    def concrete(cls: type[Event]) -> list[type[Event]]:
        own = [cls] if "subject" in vars(cls) else []
        return own + [found for child in cls.__subclasses__() for found in concrete(child)]

    assert len(concrete(Event)) == len(EVENTS)


@pytest.mark.parametrize("cls", EVENTS.values(), ids=lambda cls: cls.subject)
def test_unknown_fields_are_ignored(cls: type[Event]) -> None:
    event = sample(cls)
    known = event.model_dump(by_alias=True)
    assert cls.model_validate({**known, "added_next_year": {"a": 1}}) == event


def test_an_event_is_a_fact_and_cannot_be_changed() -> None:
    event = sample(EmailSent)
    with pytest.raises(ValidationError):
        event.recipient = "other@two.test"  # type: ignore[misc]


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        sample(EmailSent, occurred_at=datetime(2026, 11, 21, 15))  # noqa: DTZ001


def test_a_time_of_another_zone_is_said_in_utc() -> None:
    berlin = MOMENT.astimezone(timezone(timedelta(hours=1)))
    event = sample(EmailSent, occurred_at=berlin)
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert '"occurred_at":"2026-11-21T15:04:05.678000Z"' in event.model_dump_json()
    assert iso(berlin) == "2026-11-21T15:04:05.678Z"
    assert iso(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"


def test_the_subject_line_of_a_reply_is_called_subject_on_the_wire() -> None:
    body = sample(ReplyDetected, mail_subject="Re: Hello").model_dump(by_alias=True)
    assert body["subject"] == "Re: Hello"
    assert ReplyDetected.subject == "reply.detected"


@pytest.mark.seed("S33", "C11")
def test_a_sender_has_exactly_three_statuses() -> None:
    assert [status.value for status in SenderStatus] == ["ready", "warmup", "restricted"]
