"""What the tracker measures of itself beside what every service does."""

from prometheus_client import Counter

verdicts = Counter(
    "postfleet_tracker_verdicts_total",
    "Hits judged: opened, clicked and unsubscribed, by a human, a proxy or a bot",
    ["kind", "verdict"],
)
