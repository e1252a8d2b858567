"""What the dispatcher measures of itself beside what every service does. No label is unbounded."""

from prometheus_client import Counter, Gauge

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
batches_held = Counter(
    "postfleet_batches_held_total", "Batches that failed too often and were given up"
)
