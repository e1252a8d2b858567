"""What an operator sees of the watching."""

from prometheus_client import Counter, Gauge

mailboxes = Gauge(
    "postfleet_inbox_mailboxes", "Mailboxes watched by this replica, by state", ["state"]
)
classified = Counter("postfleet_inbox_classified_total", "Mails understood, by kind", ["kind"])
unmatched = Counter(
    "postfleet_inbox_unmatched_total", "Mails that belong to no delivery we know of", ["kind"]
)
lag = Gauge("postfleet_inbox_lag_seconds", "Time since the longest neglected mailbox was looked at")
unexpected = Counter(
    "postfleet_inbox_unexpected_total", "Mails in Sent folders that the platform did not send"
)
evidence = Counter(
    "postfleet_inbox_evidence_total", "Mails of unknown outcome that Sent settled", ["ruling"]
)
