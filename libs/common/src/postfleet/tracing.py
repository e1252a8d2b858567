"""Tracing: OpenTelemetry spans, one trace for each delivery, off unless somebody gives an endpoint.

A delivery's trace id follows from the delivery's id, so every service joins the same trace without
being told: planner, worker, SMTP session, watcher and tracker. While it is off, OpenTelemetry's
SDK is not imported, and a place that could make a span looks at one module variable.

POSTFLEET_OTLP_ENDPOINT (`http://collector:4318`) or OpenTelemetry's own variables
(OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, …) turn it on. Attributes are ids and codes:
never an address, a subject, a text or a secret.
"""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postfleet.otel import Otel

ENDPOINT = "POSTFLEET_OTLP_ENDPOINT"
_STANDARD = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

#: What makes spans; None while tracing is off. Hot paths look at it before they do anything.
active: "Otel | None" = None


class _NoSpan:
    """Stands in for a span while tracing is off."""

    __slots__ = ()

    def set_attribute(self, key: str, value: Any) -> None:
        """Forget it."""

    def __enter__(self) -> "_NoSpan":
        return self

    def __exit__(self, *_: object) -> None:
        return None


_NO_SPAN = _NoSpan()


def endpoint(environ: Mapping[str, str] = os.environ) -> str | None:
    """Where spans go, or None if tracing is off."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if ours := environ.get(ENDPOINT):
        return ours.rstrip("/") + "/v1/traces"
    # The exporter reads the standard variables itself.
    return next((environ[name] for name in _STANDARD if environ.get(name)), None)


def configure(service: str, environ: Mapping[str, str] = os.environ) -> None:
    """Turn tracing on if the environment names an endpoint; called once, before serving."""
    if endpoint(environ) is None:
        return
    from postfleet.otel import over_http

    use(over_http(service, endpoint(environ) if environ.get(ENDPOINT) else None))


def use(otel: "Otel | None") -> None:
    """Make spans with this one from now on; None makes no more."""
    global active
    active = otel


def close() -> None:
    """Send what is left; waits a few seconds at most."""
    if active is not None:
        active.close()


def trace_of(delivery_id: str) -> tuple[int, int]:
    """Trace id and root span id of a delivery: the same on every machine, never zero."""
    digest = sha256(b"delivery\x1f" + delivery_id.encode()).digest()
    return int.from_bytes(digest[:16]) | 1, int.from_bytes(digest[16:24]) | 1


def begun(name: str, delivery_ids: Iterable[str], **attributes: Any) -> None:
    """Write the root span of each delivery: the moment it came to be, and in which request."""
    if active is not None:
        for delivery_id in delivery_ids:
            active.root(name, delivery_id, attributes)


def clock() -> int:
    """The time in nanoseconds since 1970, for spans that are made when they end; 0 while it is off."""
    return 0 if active is None else time.time_ns()


def span(
    name: str, delivery_id: str = "", kind: str = "internal", **attributes: Any
) -> AbstractContextManager[Any]:
    """A span around a block: in the delivery's trace if one is named, else in the current one.

    `kind` is internal, client, server, producer or consumer.
    """
    if active is None:
        return _NO_SPAN
    return active.span(name, delivery_id, kind, attributes)


def traceparent(delivery_id: str = "") -> str | None:
    """The W3C header that puts a message into the delivery's trace, else into the current one."""
    return None if active is None else active.traceparent(delivery_id)


def received(
    name: str, headers: Mapping[str, str], kind: str = "consumer", **attributes: Any
) -> AbstractContextManager[Any]:
    """A span in the trace that the `traceparent` of a message or request names."""
    if active is None:
        return _NO_SPAN
    return active.received(name, headers, kind, attributes)


def message(id_: str) -> dict[str, str]:
    """Attributes of a span about a message of the bus."""
    return {"messaging.system": "nats", "messaging.message.id": id_}
