"""What the dashboards show: for each a title, and panels in the order in which they are read.

`render.py` lays them out and writes the JSON that Grafana loads. Figures that every replica shows of
what they share (the ledger, quotas) are taken by maximum, all others are summed.
"""

from typing import NamedTuple


class Panel(NamedTuple):
    """`queries` are (PromQL, legend); `width` of 24; `alarm` draws a red line at that value."""

    title: str
    description: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    width: int = 12
    kind: str = "timeseries"
    alarm: float | None = None


def stat(
    title: str,
    description: str,
    query: str,
    unit: str = "short",
    width: int = 4,
    alarm: float | None = None,
) -> Panel:
    return Panel(title, description, ((query, ""),), unit, width, "stat", alarm)


def rate(metric: str, by: str, condition: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{condition}[$__rate_interval]))"


def quantile(q: float, metric: str, by: str, condition: str = "") -> str:
    inner = f"sum by ({by}, le) (rate({metric}_bucket{condition}[$__rate_interval]))"
    return f"histogram_quantile({q}, {inner})"


def lasted(metric: str, by: str, text: str) -> tuple[tuple[str, str], ...]:
    """Median and 95th percentile."""
    return (
        (quantile(0.5, metric, by), f"{text} median"),
        (quantile(0.95, metric, by), f"{text} 95 %"),
    )


_OURS = '{route!~"/healthz|/readyz|/metrics"}'
_OUTCOMES = "postfleet_deliveries_total"
_PUBLISHED = "postfleet_events_published_total"
_CONSUMED = "postfleet_events_consumed_total"


def _said(subject: str, hours: str = "24h") -> str:
    return f'sum(increase({_PUBLISHED}{{subject=~"{subject}"}}[{hours}])) or vector(0)'


def _share(subject: str) -> str:
    part = f'sum(rate({_PUBLISHED}{{subject="{subject}"}}[1h])) or vector(0)'
    return f'({part}) / sum(rate({_PUBLISHED}{{subject="email.sent"}}[1h]))'


OVERVIEW = (
    Panel(
        "Services",
        "Whether each service answers /readyz with 200.",
        (("max by (service) (postfleet_ready)", "{{service}}"),),
        width=12,
        kind="ready",
    ),
    stat(
        "Accepted in 24 h",
        "Recipients for whom a server took responsibility.",
        f'sum(increase({_OUTCOMES}{{outcome="accepted"}}[24h])) or vector(0)',
    ),
    stat(
        "In doubt in 24 h",
        "The connection was lost after the final dot. Settled by evidence, never sent again blindly.",
        f'sum(increase({_OUTCOMES}{{outcome="unknown"}}[24h])) or vector(0)',
        alarm=1,
    ),
    stat(
        "Dead letters",
        "Events that a consumer gave up on and that are kept: postfleet dead-letters list.",
        "sum(max by (durable) (postfleet_dead_letters)) or vector(0)",
        alarm=1,
    ),
    Panel(
        "Deliveries by outcome",
        "What became of deliveries, per second.",
        ((rate(_OUTCOMES, "outcome"), "{{outcome}}"),),
        "ops",
    ),
    Panel(
        "Oldest due delivery",
        "How late the most overdue delivery is; alarm at 15 minutes.",
        (("max(postfleet_ledger_oldest_due_seconds)", "due"),),
        "s",
        alarm=900,
    ),
    Panel(
        "HTTP requests",
        "Answers by service and code, without probes.",
        ((rate("postfleet_http_requests_total", "service, code", _OURS), "{{service}} {{code}}"),),
        "reqps",
    ),
    Panel(
        "HTTP time, 95th percentile",
        "Time to the end of the response.",
        ((quantile(0.95, "postfleet_http_request_seconds", "service"), "{{service}}"),),
        "s",
    ),
    Panel(
        "Memory",
        "Resident memory of each process.",
        (('process_resident_memory_bytes{job="postfleet"}', "{{service}}"),),
        "bytes",
    ),
    Panel(
        "CPU",
        "Cores in use; one event loop has one core at most.",
        (('rate(process_cpu_seconds_total{job="postfleet"}[$__rate_interval])', "{{service}}"),),
        "short",
    ),
    Panel(
        "Event loop, worst delay",
        "How late the loop was at worst within ten seconds; above a second, probes begin to fail.",
        (("max by (service) (postfleet_event_loop_lag_seconds)", "{{service}}"),),
        "s",
        alarm=1,
    ),
    Panel(
        "HTTP requests in progress",
        "Requests that are being answered.",
        (("sum by (service) (postfleet_http_requests_in_progress)", "{{service}}"),),
    ),
)

SENDING = (
    stat(
        "Quota used today",
        "Sent or reserved on this UTC day, of what all senders may send.",
        "max(postfleet_quota_used) / max(postfleet_quota_limit)",
        "percentunit",
        6,
    ),
    stat(
        "Left today",
        "Mails that the fleet may still send on this UTC day.",
        "max(postfleet_quota_limit) - max(postfleet_quota_used)",
        width=6,
    ),
    stat(
        "Ledger: in doubt now",
        "Deliveries whose outcome is unknown and not settled yet.",
        'max(postfleet_ledger_open{state="unknown"})',
        width=6,
        alarm=1,
    ),
    stat(
        "Open breakers",
        "Senders whose server failed so often that it is left alone for a while.",
        'max(postfleet_sender_breakers{state="open"})',
        width=6,
        alarm=1,
    ),
    Panel(
        "Phases of a delivery, 95th percentile",
        "queued: until a worker has the batch; checked: limits and suppressions; connected: a new "
        "session; transmitted: SMTP until the reply; announced: events said and rows written.",
        ((quantile(0.95, "postfleet_delivery_phase_seconds", "phase"), "{{phase}}"),),
        "s",
    ),
    Panel(
        "Phases of a delivery, median",
        "As beside, for half of them.",
        ((quantile(0.5, "postfleet_delivery_phase_seconds", "phase"), "{{phase}}"),),
        "s",
    ),
    Panel(
        "Deliveries not ended",
        "Counted up to 10,000 each: deferred by servers, postponed by us, queued in a batch, in doubt.",
        (("max by (state) (postfleet_ledger_open)", "{{state}}"),),
    ),
    Panel(
        "Ages in the ledger",
        "The oldest due, the oldest in doubt, the oldest settlement that is not announced.",
        (
            ("max(postfleet_ledger_oldest_due_seconds)", "due"),
            ("max(postfleet_ledger_oldest_unknown_seconds)", "in doubt"),
            ("max(postfleet_ledger_oldest_unannounced_seconds)", "not announced"),
        ),
        "s",
    ),
    Panel(
        "Told to wait",
        "Deliveries per second that were held back: by a pause, a breaker, a destination's pace, or "
        "a sender's limit.",
        ((rate("postfleet_throttle_wait_seconds_count", "cause"), "{{cause}}"),),
        "ops",
    ),
    Panel(
        "Wait, on average",
        "For how long they were told to wait.",
        (
            (
                f"{rate('postfleet_throttle_wait_seconds_sum', 'cause')} / "
                f"({rate('postfleet_throttle_wait_seconds_count', 'cause')} > 0) "
                "or sum by (cause) (postfleet_throttle_wait_seconds_count) * 0",
                "{{cause}}",
            ),
        ),
        "s",
    ),
    Panel(
        "Batches in work",
        "Of as many as one replica takes at a time; at the limit, another replica helps.",
        (
            ("sum(postfleet_batches_running)", "running"),
            ("sum(postfleet_batches_running_limit)", "limit"),
        ),
    ),
    Panel(
        "Senders by status",
        "As the dispatcher knows them.",
        (("max by (status) (postfleet_senders)", "{{status}}"),),
    ),
)

DELIVERABILITY = (
    stat(
        "Hard bounces in 24 h",
        "Addresses that do not exist, or refuse for good.",
        _said("bounce.hard"),
        width=6,
    ),
    stat(
        "Soft bounces in 24 h",
        "Full or disturbed mailboxes; tried again.",
        _said("bounce.soft"),
        width=6,
    ),
    stat(
        "Complaints in 24 h",
        "Abuse reports; receivers block at 0.3 %.",
        _said("complaint.received"),
        width=6,
        alarm=1,
    ),
    stat(
        "Unsubscribed in 24 h",
        "By link, one click or reply.",
        _said("recipient.unsubscribed"),
        width=6,
    ),
    Panel(
        "Shares of what was sent, over an hour",
        "Bounces above 5 % pause a campaign; complaints above 0.3 %.",
        (
            (_share("bounce.hard"), "hard bounces"),
            (_share("complaint.received"), "complaints"),
            (_share("reply.detected"), "replies"),
        ),
        "percentunit",
        alarm=0.05,
    ),
    Panel(
        "Refused and deferred",
        "Deliveries per second that servers did not take.",
        ((rate(_OUTCOMES, "outcome", '{outcome=~"deferred|failed|unknown"}'), "{{outcome}}"),),
        "ops",
    ),
    Panel(
        "Destinations that throttle",
        "Destinations that asked for less and are paced now.",
        (("max(postfleet_paced_destinations)", "destinations"),),
    ),
    Panel(
        "Senders that rest or are stopped",
        "Events of the registry, per hour: cooldowns, restrictions, suspensions.",
        (
            (
                f'sum by (subject) (increase({_PUBLISHED}{{subject=~"sender.*"}}[1h]))',
                "{{subject}}",
            ),
        ),
    ),
    Panel(
        "Campaigns and factors paused by themselves",
        "By their own bounces and complaints, or because senders that share something degrade together.",
        (
            ("sum(increase(postfleet_campaigns_auto_paused_total[1h])) or vector(0)", "campaigns"),
            ("sum(increase(postfleet_factors_paused_total[1h])) or vector(0)", "factors"),
        ),
    ),
    Panel(
        "Domains by check that is not well",
        "What the last look at each verified domain found.",
        (
            ('max by (check) (postfleet_domain_checks{state="bad"})', "{{check}} bad"),
            ('max by (check) (postfleet_domain_checks{state="warn"})', "{{check}} warn"),
        ),
    ),
)

INBOX = (
    Panel(
        "Mailboxes watched",
        "By state, over all replicas.",
        (("sum by (state) (postfleet_inbox_mailboxes)", "{{state}}"),),
    ),
    Panel(
        "Lag",
        "Time since the longest neglected mailbox was looked at; alarm at 15 minutes.",
        (("max(postfleet_inbox_lag_seconds)", "lag"),),
        "s",
        alarm=900,
    ),
    Panel(
        "Mails understood",
        "By kind, per second.",
        ((rate("postfleet_inbox_classified_total", "kind"), "{{kind}}"),),
        "ops",
    ),
    Panel(
        "Mails that belong to no delivery",
        "Many of them: somebody else writes to these mailboxes, or the index of what was sent is gone.",
        (
            (
                "sum(increase(postfleet_inbox_unmatched_total[1h])) or vector(0)",
                "unmatched in an hour",
            ),
        ),
    ),
    Panel(
        "What arrived, as events",
        "Replies, automatic replies, bounces and complaints that were said, per second.",
        (
            (
                rate(_PUBLISHED, "subject", '{subject=~"reply.*|bounce.*|complaint.*|delivery.*"}'),
                "{{subject}}",
            ),
        ),
        "ops",
    ),
    Panel(
        "Doubts settled from Sent",
        "Unknown outcomes that the Sent folder has cleared up in an hour.",
        (("sum(increase(postfleet_inbox_evidence_total[1h])) or vector(0)", "settled"),),
    ),
)

TRACKING = (
    Panel(
        "Hits by kind",
        "Requests with a valid token, per second.",
        ((rate("postfleet_tracker_hits_total", "kind"), "{{kind}}"),),
        "reqps",
    ),
    Panel(
        "Verdicts",
        "Who it was: only humans count in the figures.",
        ((rate("postfleet_tracker_verdicts_total", "kind, verdict"), "{{kind}} {{verdict}}"),),
        "ops",
    ),
    Panel(
        "Time of an answer",
        "Pixels and redirects.",
        lasted("postfleet_http_request_seconds", "service", "{{service}}"),
        "s",
    ),
    Panel(
        "Hits that wait on disk",
        "NATS does not confirm: they are kept in the spool and told later.",
        (("sum(postfleet_tracker_spool_bytes)", "spool"),),
        "bytes",
    ),
    Panel(
        "Hits lost",
        "Memory and spool were full. Anything above zero is an alarm.",
        (("sum(increase(postfleet_tracker_hits_dropped_total[1h])) or vector(0)", "lost"),),
        alarm=1,
    ),
    Panel(
        "Events not counted yet",
        "How far the figures are behind.",
        (('max by (durable) (postfleet_consumer_pending{service="tracker"})', "{{durable}}"),),
    ),
)

BUS = (
    Panel(
        "Events published",
        "Confirmed by JetStream, per second.",
        ((rate(_PUBLISHED, "subject"), "{{subject}}"),),
        "ops",
    ),
    Panel(
        "Events consumed",
        "Handled, per second.",
        ((rate(_CONSUMED, "durable", '{result="ok"}'), "{{durable}}"),),
        "ops",
    ),
    Panel(
        "Waiting for a durable",
        "In the stream, and not given out yet.",
        (("max by (durable) (postfleet_consumer_pending)", "{{durable}}"),),
    ),
    Panel(
        "Given out, not acknowledged",
        "In the hands of consumers.",
        (("max by (durable) (postfleet_consumer_unacked)", "{{durable}}"),),
    ),
    Panel(
        "Outbox",
        "Events written and not announced yet.",
        (
            (
                "sum by (service, collection) (postfleet_outbox_pending)",
                "{{service}} {{collection}}",
            ),
        ),
    ),
    Panel(
        "Events retried and given up",
        "In an hour; what is given up is a dead letter.",
        (
            (
                f'sum by (durable, result) (increase({_CONSUMED}{{result!="ok"}}[1h])) '
                f"or sum by (durable) ({_CONSUMED}) * 0",
                "{{durable}} {{result}}",
            ),
        ),
    ),
    Panel(
        "Time of a handler, 95th percentile",
        "For an event, or a batch of them.",
        ((quantile(0.95, "postfleet_event_handling_seconds", "durable"), "{{durable}}"),),
        "s",
    ),
    Panel(
        "Time until JetStream confirms, 95th percentile",
        "Disk and network of NATS.",
        ((quantile(0.95, "postfleet_publish_seconds", "service"), "{{service}}"),),
        "s",
    ),
    Panel(
        "Database commands",
        "By service, per second.",
        ((rate("postfleet_mongo_command_seconds_count", "service"), "{{service}}"),),
        "ops",
    ),
    Panel(
        "Time of the database, 95th percentile",
        "By command.",
        ((quantile(0.95, "postfleet_mongo_command_seconds", "command"), "{{command}}"),),
        "s",
    ),
    Panel(
        "Database commands that failed",
        "In an hour; duplicates that guard against repetition are answers, not failures.",
        (("sum(increase(postfleet_mongo_command_failures_total[1h])) or vector(0)", "failed"),),
    ),
    Panel(
        "Database, in commands at a time",
        "Seconds of waiting for the database per second: how many commands are under way.",
        ((rate("postfleet_mongo_command_seconds_sum", "service"), "{{service}}"),),
    ),
)

BOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "overview": ("Postfleet", OVERVIEW),
    "sending": ("Postfleet: sending", SENDING),
    "deliverability": ("Postfleet: deliverability", DELIVERABILITY),
    "inbox": ("Postfleet: inbox", INBOX),
    "tracking": ("Postfleet: tracking", TRACKING),
    "bus": ("Postfleet: bus and database", BUS),
}
