"""Spans: off unless asked for, one trace for each delivery, nothing in them that names a person."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from postfleet import http, tracing
from postfleet.announcing import Announcing
from postfleet.cloudevents import Announcement
from postfleet.events import EVENTS
from postfleet.otel import Otel
from postfleet.publishing import Entry
from tests.support.eventsamples import sample


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.use(Otel("dispatcher", SimpleSpanProcessor(exporter)))
    yield exporter
    tracing.use(None)


ENDPOINTS = [
    pytest.param({}, None, id="nothing is said: off"),
    pytest.param(
        {"POSTFLEET_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces", id="ours"
    ),
    pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, "http://c", id="the standard's"),
    pytest.param(
        {"POSTFLEET_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"},
        None,
        id="the standard's switch wins",
    ),
    pytest.param({"POSTFLEET_OTLP_ENDPOINT": ""}, None, id="an empty one, as compose passes it"),
]


@pytest.mark.parametrize(("environ", "expected"), ENDPOINTS)
def test_tracing_is_off_unless_an_endpoint_is_named(
    environ: dict[str, str], expected: str | None
) -> None:
    assert tracing.endpoint(environ) == expected


@pytest.mark.parametrize(
    "module", ["dispatcher.app", "tracker.app", "inbox_watcher.app", "sender_registry.app"]
)
def test_while_it_is_off_no_sdk_and_no_exporter_is_imported(module: str) -> None:
    """FastAPI imports OpenTelemetry's interfaces where they are installed; what weighs is behind them."""
    heavy = "m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'requests'))"
    code = f"import sys, {module}; sys.exit(any({heavy} for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_while_it_is_off_a_span_is_one_shared_object_that_does_nothing() -> None:
    with tracing.span("send", "d1") as one, tracing.received("x", {}) as other:
        one.set_attribute("a", 1)
    assert one is other
    assert tracing.traceparent("d1") is None


def test_all_services_join_the_trace_that_follows_from_the_delivery(
    spans: InMemorySpanExporter,
) -> None:
    tracing.begun("planned", ["d1"])
    with tracing.span("send", "d1"), tracing.span("SMTP", "d1", "client"):
        parent = tracing.traceparent("d1")
    assert parent
    tracing.use(other := Otel("tracker", SimpleSpanProcessor(spans)))
    with other.received("tracker-events email.sent", {"traceparent": parent}, "consumer", {}):
        pass
    by_name = {one.name: one for one in spans.get_finished_spans()}
    assert {one.context.trace_id for one in by_name.values()} == {tracing.trace_of("d1")[0]}
    root = by_name["planned"]
    assert root.parent is None
    assert root.context.span_id == tracing.trace_of("d1")[1]
    assert by_name["send"].parent.span_id == root.context.span_id
    assert by_name["SMTP"].parent.span_id == by_name["send"].context.span_id
    heard = by_name["tracker-events email.sent"]
    assert heard.parent.span_id == by_name["SMTP"].context.span_id


def test_two_deliveries_have_two_traces() -> None:
    assert tracing.trace_of("d1") != tracing.trace_of("d2")
    assert all(part > 0 for part in tracing.trace_of(""))


def test_an_error_is_noted_by_its_class_because_its_text_may_hold_an_address(
    spans: InMemorySpanExporter,
) -> None:
    with pytest.raises(ValueError, match="ann@x"), tracing.span("send", "d1"):
        raise ValueError("ann@x.test is refused")
    (one,) = spans.get_finished_spans()
    assert "ann@x" not in one.to_json()
    assert one.attributes is not None
    assert one.attributes["error.type"] == "ValueError"


def test_a_trace_that_is_not_sampled_is_sampled_nowhere(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    tracing.use(Otel("dispatcher", SimpleSpanProcessor(spans)))
    for number in range(60):
        tracing.begun("planned", [f"d{number}"])
        with tracing.span("send", f"d{number}"):
            pass
    seen: dict[int, int] = {}
    for one in spans.get_finished_spans():
        seen[one.context.trace_id] = seen.get(one.context.trace_id, 0) + 1
    assert 10 < len(seen) < 50
    assert set(seen.values()) == {2}, "a trace is there whole or not at all"


async def test_every_event_about_a_delivery_says_its_trace(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Entry] = []

    async def send(entries: list[Entry]) -> dict[str, Any]:
        said.extend(entries)
        return {}

    announcing = Announcing("dispatcher")
    monkeypatch.setattr(announcing, "_send", send)
    every = [sample(cls) for cls in EVENTS.values()]
    about = [event for event in every if getattr(event, "delivery_id", None)]
    assert about
    await announcing.publish([Announcement(event) for event in every])
    with_trace = [one for one in said if "traceparent" in one.headers]
    assert {one.subject for one in with_trace} >= {event.subject for event in about}
    for event in about:
        trace = f"{tracing.trace_of(getattr(event, 'delivery_id', ''))[0]:032x}"
        assert any(trace in one.headers["traceparent"] for one in with_trace)
    told = "".join(one.to_json() for one in spans.get_finished_spans())
    assert "@" not in told, "attributes are ids, never addresses"


async def test_a_request_is_a_span_with_its_route_and_not_its_path(
    spans: InMemorySpanExporter,
) -> None:
    app = FastAPI()
    http._count_requests(app, "dispatcher")

    @app.get(http.API + "/recipients/{address}")
    async def get(address: str) -> str:
        tracing.begun("mail taken in", ["d1"])
        return "ok"

    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with AsyncClient(transport=ASGITransport(app), base_url="http://x") as client:
        await client.get(http.API + "/recipients/ann@x.test", headers={"traceparent": parent})
    root, request = spans.get_finished_spans()
    assert request.name == f"GET {http.API}/recipients/{{address}}"
    assert f"{request.context.trace_id:032x}" == "a" * 32, "in the caller's trace"
    assert "ann@x" not in request.to_json() + root.to_json()
    assert [link.context for link in root.links] == [request.context], "the mail knows its request"
