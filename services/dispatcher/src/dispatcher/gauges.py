"""What the dispatcher measures of itself beside what every service does. No label is unbounded."""

from prometheus_client import Counter, Gauge, Histogram

pace = Gauge(
    "postfleet_destination_pace_per_hour",
    "Mails an hour that a throttling destination gets; domains of no known provider: the slowest",
    ["destination"],
)
paced = Gauge("postfleet_paced_destinations", "Destinations with a pace")
throttlings = Counter(
    "postfleet_destination_throttlings_total",
    "Replies and notices that asked for less",
    ["destination"],
)
breakers = Gauge("postfleet_sender_breakers", "Senders by state of their breaker", ["state"])
factors_paused = Counter(
    "postfleet_factors_paused_total",
    "Templates, domains and providers paused because their senders degraded together",
    ["kind"],
)
campaigns_paused = Counter(
    "postfleet_campaigns_auto_paused_total", "Campaigns that their figures stopped", ["rule"]
)
campaigns_warned = Counter(
    "postfleet_campaigns_warned_total", "Campaigns whose figures come near a limit", ["rule"]
)
unsayable = Counter(
    "postfleet_unsayable_settlements_total", "Settlements that no event can carry; kept aside"
)
partitions = Gauge("postfleet_job_partitions", "Partitions whose jobs are pulled here")
worker_restarts = Counter(
    "postfleet_worker_restarts_total", "Worker processes that ended and were started again"
)
batches_held = Counter(
    "postfleet_batches_held_total", "Batches that failed too often and were given up"
)

_PHASES = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600)
phase_seconds = Histogram(
    "postfleet_delivery_phase_seconds",
    "Time of a delivery's phases: queued and checked with its batch, connected with its connection, "
    "transmitted alone (from filling it in to the reply), announced with others",
    ["phase"],
    buckets=_PHASES,
)
queued, checked, connected, transmitted, announced = (
    phase_seconds.labels(name)
    for name in ("queued", "checked", "connected", "transmitted", "announced")
)
waits = Histogram(
    "postfleet_throttle_wait_seconds",
    "How long deliveries were told to wait, by what holds them back",
    ["cause"],
    buckets=(1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600),
)
for _cause in ("pause", "breaker", "pace", "limit"):
    waits.labels(_cause)  # each is there from the start: no news is a zero
batches_running = Gauge("postfleet_batches_running", "Batches that this replica sends now")
batches_most = Gauge("postfleet_batches_running_limit", "As many as it sends at a time")
oldest_due = Gauge(
    "postfleet_ledger_oldest_due_seconds",
    "For how long the oldest delivery has been due that waits, or lies in a batch nobody took",
)
oldest_unknown = Gauge(
    "postfleet_ledger_oldest_unknown_seconds", "Age of the oldest outcome that is in doubt"
)
oldest_unannounced = Gauge(
    "postfleet_ledger_oldest_unannounced_seconds", "Age of the oldest settlement not announced"
)
ledger_open = Gauge(
    "postfleet_ledger_open", "Deliveries that have not ended, counted up to 10,000", ["state"]
)
quota_used = Gauge(
    "postfleet_quota_used", "Mails that all senders have sent or reserved on this UTC day"
)
quota_limit = Gauge(
    "postfleet_quota_limit", "Mails that all senders may send on this UTC day; without limit: none"
)
senders = Gauge("postfleet_senders", "Senders by status", ["status"])
