"""OpenTelemetry's SDK as `postfleet.tracing` uses it; imported only when tracing is on."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from postfleet.tracing import trace_of

_CLOSE_MS = 3000
_propagator = TraceContextTextMapPropagator()


class _Ids(RandomIdGenerator):
    """Random ids, unless the next ones are chosen: a delivery's root has ids that follow from it."""

    def __init__(self) -> None:
        self.chosen: tuple[int, int] | None = None

    def generate_trace_id(self) -> int:
        return self.chosen[0] if self.chosen else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.chosen[1] if self.chosen else super().generate_span_id()


class Otel:
    """Spans of one service. `processor` decides where they go."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service, "service.namespace": "postfleet"}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("postfleet")

    def close(self) -> None:
        """Export what is left and end."""
        self._provider.force_flush(_CLOSE_MS)
        self._provider.shutdown()

    def root(self, name: str, delivery_id: str, attributes: Mapping[str, Any]) -> None:
        """The first span of a delivery; linked to the request that it came with, if there is one."""
        current = trace.get_current_span().get_span_context()
        links = [Link(current)] if current.is_valid else None
        self._ids.chosen = trace_of(delivery_id)
        try:
            made = self._tracer.start_span(
                name,
                context=Context(),
                attributes=_plain({"postfleet.delivery_id": delivery_id, **attributes}),
                links=links,
            )
        finally:
            self._ids.chosen = None
        made.end()

    def past(
        self, name: str, delivery_id: str, started: int, attributes: Mapping[str, Any]
    ) -> None:
        """A span of a delivery that began at `started` (nanoseconds since 1970) and ends now."""
        self._tracer.start_span(
            name,
            context=self._delivery(delivery_id),
            kind=SpanKind.CLIENT,
            attributes=_plain({"postfleet.delivery_id": delivery_id, **attributes}),
            start_time=started,
        ).end()

    def span(
        self, name: str, delivery_id: str, kind: str, attributes: Mapping[str, Any]
    ) -> contextlib.AbstractContextManager[Any]:
        """Around a block. An exception is noted by its class alone: its text may have an address."""
        if delivery_id:
            attributes = {"postfleet.delivery_id": delivery_id, **attributes}
        parent = self._delivery(delivery_id) if delivery_id else None
        return self._around(name, parent, SpanKind[kind.upper()], attributes)

    def received(
        self, name: str, headers: Mapping[str, str], kind: str, attributes: Mapping[str, Any]
    ) -> contextlib.AbstractContextManager[Any]:
        """Around what a message or a request makes us do."""
        parent = _propagator.extract({k.lower(): v for k, v in headers.items()}, Context())
        return self._around(name, parent, SpanKind[kind.upper()], attributes)

    def traceparent(self, delivery_id: str) -> str | None:
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, self._delivery(delivery_id) if delivery_id else None)
        return carrier.get("traceparent")

    @contextlib.contextmanager
    def _around(
        self, name: str, parent: Context | None, kind: SpanKind, attributes: Mapping[str, Any]
    ) -> Iterator[Any]:
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=kind,
            attributes=_plain(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            try:
                yield made
            except BaseException as error:
                made.set_attribute("error.type", type(error).__name__)
                made.set_status(trace.StatusCode.ERROR)
                raise

    def _inside(self, delivery_id: str) -> bool:
        current = trace.get_current_span().get_span_context()
        return current.trace_id == trace_of(delivery_id)[0]

    def _delivery(self, delivery_id: str) -> Context:
        """The delivery's root as parent; sampled or not as the root itself was."""
        if self._inside(delivery_id):
            return trace.set_span_in_context(trace.get_current_span())
        trace_id, span_id = trace_of(delivery_id)
        decision = self._provider.sampler.should_sample(Context(), trace_id, "delivery").decision
        kept = decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags.SAMPLED if kept else TraceFlags.DEFAULT
        remote = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
        return trace.set_span_in_context(NonRecordingSpan(remote), Context())


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value not in (None, "")}


def over_http(service: str, endpoint: str | None) -> Otel:
    """Spans leave by OTLP over HTTP, from a thread of their own; None: OpenTelemetry's variables."""
    return Otel(service, BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
