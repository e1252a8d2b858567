"""The metrics every service has: one naming scheme, base units, no unbounded label."""

from prometheus_client import Counter, Gauge, Histogram

events_published = Counter(
    "postfleet_events_published_total", "Events confirmed by JetStream", ["service", "subject"]
)
events_consumed = Counter(
    "postfleet_events_consumed_total",
    "Events by what became of them: ok, retried, dead",
    ["service", "durable", "result"],
)
outbox_pending = Gauge(
    "postfleet_outbox_pending", "Events written but not announced yet", ["service"]
)
ready = Gauge("postfleet_ready", "1 while the service answers /readyz with 200", ["service"])
http_requests = Counter(
    "postfleet_http_requests_total", "HTTP requests", ["service", "route", "code"]
)
http_seconds = Histogram(
    "postfleet_http_request_seconds",
    "Time to the end of the response",
    ["service", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
deliveries = Counter(
    "postfleet_deliveries_total",
    "Deliveries by outcome: accepted, deferred, failed, skipped, unknown",
    ["service", "outcome"],
)
relay_accepted = Counter(
    "postfleet_relay_accepted_total",
    "Mails handed in over SMTP and stored",
)
relay_refused = Counter(
    "postfleet_relay_refused_total",
    "Refused at the SMTP port: connections, log-ins, content",
    ["what"],
)
