"""The declared streams and durables agree with each other and with the events."""

from datetime import timedelta

import pytest

from postfleet.events import EVENTS
from postfleet.topology import (
    DURABLES,
    EVENT_STREAM,
    SERVICES,
    STREAMS,
    Durable,
    durable,
    durables_of,
)

NAMES = {service.name for service in SERVICES}


@pytest.mark.parametrize("declared", DURABLES, ids=lambda d: d.name)
def test_a_durable_is_named_after_its_service_and_hears_what_its_stream_holds(
    declared: Durable,
) -> None:
    assert declared.service in NAMES
    assert declared.name.startswith(f"{declared.service}-")
    assert declared.stream in {stream.name for stream in STREAMS}
    assert declared.subjects
    assert declared.ack_wait >= timedelta(seconds=30)
    if declared.stream == EVENT_STREAM.name:
        assert set(declared.subjects) <= set(EVENTS)


def test_every_event_is_said_by_somebody_and_kept_in_the_statistics() -> None:
    assert {subject for service in SERVICES for subject in service.says} == set(EVENTS)
    assert set(durable("tracker-events").subjects) == set(EVENTS)


def test_an_event_s_own_service_may_say_it() -> None:
    says = {service.name: service.says for service in SERVICES}
    assert all(subject in says[event.source] for subject, event in EVENTS.items())


@pytest.mark.seed("S25")
def test_only_who_sends_or_watches_may_ask_for_credentials() -> None:
    callers = {s.name for s in SERVICES if "rpc.sender.credentials" in s.calls}
    assert callers == {"dispatcher", "inbox-watcher"}


def test_an_id_is_remembered_longer_than_any_publisher_retries() -> None:
    assert all(stream.duplicate_window >= timedelta(minutes=10) for stream in STREAMS)
    assert EVENT_STREAM.max_age == timedelta(days=30)


def test_a_durable_is_found_by_name_and_by_service() -> None:
    assert durable("tracker-hits").stream == "HITS"
    mine = {d.name for d in durables_of("tracker")}
    assert {"tracker-events", "tracker-hits"} <= mine
    assert all(name.startswith("tracker-") for name in mine)
    with pytest.raises(KeyError, match="no durable 'x'; there are"):
        durable("x")
