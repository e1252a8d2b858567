"""The metrics every service has: one naming scheme, base units, no unbounded label."""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# A time of creation beside every series would double what is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

events_published = Counter(
    "postfleet_events_published_total", "Events confirmed by JetStream", ["service", "subject"]
)
events_consumed = Counter(
    "postfleet_events_consumed_total",
    "Events by what became of them: ok, retried, dead",
    ["service", "durable", "result"],
)
event_seconds = Histogram(
    "postfleet_event_handling_seconds",
    "Time a handler took for its event, or for its batch of events",
    ["service", "durable"],
    buckets=_SECONDS,
)
publish_seconds = Histogram(
    "postfleet_publish_seconds",
    "Time until JetStream has confirmed what was said together, or has not",
    ["service"],
    buckets=_SECONDS,
)
consumer_pending = Gauge(
    "postfleet_consumer_pending",
    "Messages in the stream that a durable has not been given yet",
    ["service", "durable"],
)
consumer_unacked = Gauge(
    "postfleet_consumer_unacked",
    "Messages that a durable was given and has not acknowledged",
    ["service", "durable"],
)
dead_letters = Gauge(
    "postfleet_dead_letters",
    "Dead letters that are kept, by the durable that gave up",
    ["service", "durable"],
)
outbox_pending = Gauge(
    "postfleet_outbox_pending",
    "Events written but not announced yet",
    ["service", "collection"],
)
mongo_seconds = Histogram(
    "postfleet_mongo_command_seconds",
    "Time of the database's commands",
    ["service", "command"],
    buckets=_SECONDS,
)
mongo_failures = Counter(
    "postfleet_mongo_command_failures_total",
    "Commands that the database refused or did not answer",
    ["service", "command"],
)
loop_lag = Gauge(
    "postfleet_event_loop_lag_seconds",
    "How late the event loop was at worst within the last seconds",
    ["service"],
)
ready = Gauge("postfleet_ready", "1 while the service answers /readyz with 200", ["service"])
http_requests = Counter(
    "postfleet_http_requests_total", "HTTP requests", ["service", "route", "code"]
)
http_seconds = Histogram(
    "postfleet_http_request_seconds",
    "Time to the end of the response",
    ["service", "route"],
    buckets=_SECONDS,
)
http_in_progress = Gauge(
    "postfleet_http_requests_in_progress", "HTTP requests not answered yet", ["service"]
)
deliveries = Counter(
    "postfleet_deliveries_total",
    "Deliveries by outcome: accepted, deferred, failed, skipped, unknown",
    ["service", "outcome"],
)
sender_requests_open = Gauge(
    "postfleet_sender_requests_open", "Sender requests that are not settled"
)
sender_requests_overdue = Gauge(
    "postfleet_sender_requests_overdue", "Of those, the ones that are past their SLA"
)
sender_requests_breached = Counter(
    "postfleet_sender_requests_breached_total", "Sender requests whose SLA was told to be breached"
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
