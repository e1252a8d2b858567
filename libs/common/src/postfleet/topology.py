"""The streams, the durable consumers and who may do what: declared here and nowhere else.

`postfleet bus apply` makes NATS look like this; services bind to what exists; the NATS permissions
and `docs/events.md` are generated from it.
"""

from dataclasses import dataclass
from datetime import timedelta

from postfleet.events import EVENTS

MAX_DELIVERIES = 5  # then the event goes to the dead letters


@dataclass(frozen=True, slots=True)
class Stream:
    name: str
    subjects: tuple[str, ...]
    description: str
    work_queue: bool = False  # a message is gone once its one consumer has acked it
    max_age: timedelta | None = None
    duplicate_window: timedelta = timedelta(minutes=10)  # above the longest retry of a publisher
    schedules: bool = False  # messages may carry Nats-Schedule


@dataclass(frozen=True, slots=True)
class Durable:
    """`ack_wait` outlasts the slowest honest run; `max_ack_pending` bounds what is in flight."""

    name: str
    stream: str
    service: str
    subjects: tuple[str, ...]
    ack_wait: timedelta = timedelta(seconds=60)
    max_ack_pending: int = 5000
    part_of: str = ""  # what its dead letters are kept under, where that is not its name


@dataclass(frozen=True, slots=True)
class Service:
    """What one service may say and call; its durables are in DURABLES."""

    name: str
    says: tuple[str, ...]
    calls: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()  # subjects of its own work queue
    tends_dead_letters: bool = False  # may read and drop those of all, and ask for another try


EVENT_STREAM = Stream(
    "EVENTS",
    tuple(sorted({f"{subject.split('.')[0]}.*" for subject in EVENTS})),
    "Every event of the platform; a new subscriber can replay all that is kept",
    max_age=timedelta(days=30),
)
JOB_LANES = ("transactional", "campaign")
JOB_PARTITIONS = 16  # by sender; more than one machine has cores, few enough for a durable each
JOBS = Stream("JOBS", ("job.>",), "Batches to send; the ledger is the truth", work_queue=True)
HITS = Stream(
    "HITS", ("hit.>",), "Pixel loads, clicks and unsubscribes as they came", work_queue=True
)
DEAD_LETTERS = Stream(
    "DEAD_LETTERS",
    ("dead.>",),
    "What a consumer could not use, with the reason",
    max_age=timedelta(days=90),
)
STREAMS = (EVENT_STREAM, JOBS, HITS, DEAD_LETTERS)


def rpc_replay(service: str) -> str:
    """Where a service is asked to try one of its dead letters again."""
    return f"rpc.replay.{service}"


RPC_CREDENTIALS = "rpc.sender.credentials"
RPC_API_KEY = "rpc.api_key.verify"
RPC_RELAY = "rpc.relay.authenticate"
RPC_WARMUP = "rpc.warmup.plan"
RPC_MAILBOX_SECRET = "rpc.mailbox.secret"  # noqa: S105
RPC_MAILBOX_CREATE = "rpc.mailbox.create"
RPC_MAILBOX_DELETE = "rpc.mailbox.delete"
_MAILBOXES = (RPC_MAILBOX_SECRET, RPC_MAILBOX_CREATE, RPC_MAILBOX_DELETE)


def _events(*families: str) -> tuple[str, ...]:
    """The subjects of whole families (`sender`) or single events (`email.sent`), sorted."""
    wanted = set(families)
    return tuple(sorted(s for s in EVENTS if s in wanted or s.split(".")[0] in wanted))


def job_subject(lane: str, partition: int) -> str:
    return f"job.send.{lane}.{partition:02}"


def job_durable(lane: str, partition: int) -> str:
    """A durable each: whoever has a partition pulls from both of its lanes, and none blocks another."""
    return f"dispatcher-jobs-{lane}-{partition:02}"


_JOB_DURABLES = tuple(
    Durable(
        job_durable(lane, partition),
        "JOBS",
        "dispatcher",
        (job_subject(lane, partition),),
        ack_wait=timedelta(seconds=120),  # kept alive by in-progress acks while a batch is sent
        max_ack_pending=2000,
        part_of="dispatcher-jobs",
    )
    for lane in JOB_LANES
    for partition in range(JOB_PARTITIONS)
)

DURABLES = (
    Durable(
        "sender-registry-outcomes",
        "EVENTS",
        "sender-registry",
        _events(
            "email.sent",
            "email.deferred",
            "email.failed",
            "email.unknown",
            "bounce",
            "complaint",
            "warmup",
        ),
    ),
    Durable("sender-registry-mailboxes", "EVENTS", "sender-registry", _events("mailbox", "domain")),
    Durable(
        "dispatcher-feedback",
        "EVENTS",
        "dispatcher",
        _events(
            "sender",
            "reply",
            "bounce",
            "complaint",
            "delivery",
            "recipient.unsubscribed",
            "recipient.resubscribed",
            "person.erased",
            "warmup",
        ),
    ),
    Durable(
        "dispatcher-hits",
        "EVENTS",
        "dispatcher",
        _events("email.opened", "email.clicked", "verdict.changed"),
    ),
    # Jobs without a lane: those of versions that had none, sorted into lanes when they are met.
    Durable("dispatcher-jobs", "JOBS", "dispatcher", ("job.send",), max_ack_pending=2000),
    *_JOB_DURABLES,
    Durable(
        "inbox-watcher-feed",
        "EVENTS",
        "inbox-watcher",
        _events("sender", "email.sent", "email.unknown", "person.erased"),
    ),
    Durable("tracker-events", "EVENTS", "tracker", tuple(sorted(EVENTS))),
    Durable("tracker-webhooks", "EVENTS", "tracker", tuple(sorted(EVENTS))),
    Durable(
        "tracker-history",
        "EVENTS",
        "tracker",
        _events(
            "email", "bounce", "reply", "complaint", "delivery", "recipient", "person", "verdict"
        ),
    ),
    Durable("tracker-hits", "HITS", "tracker", ("hit.>",)),
)

_EVERY_SERVICE_CALLS = (RPC_API_KEY,)
_REPLAYS = {durable.service: rpc_replay(durable.service) for durable in DURABLES}


def _says(service: str) -> tuple[str, ...]:
    return tuple(sorted(s for s, event in EVENTS.items() if event.source == service))


SERVICES = (
    Service(
        "sender-registry",
        _says("sender-registry"),
        calls=_MAILBOXES,
        answers=(
            *(RPC_CREDENTIALS, RPC_API_KEY, RPC_RELAY, RPC_WARMUP),
            _REPLAYS["sender-registry"],
        ),
    ),
    Service(
        "dispatcher",
        tuple(sorted({*_says("dispatcher"), "bounce.hard", "bounce.soft"})),
        calls=(RPC_CREDENTIALS, RPC_RELAY, RPC_WARMUP, *_EVERY_SERVICE_CALLS),
        answers=(_REPLAYS["dispatcher"],),
        queues=("job.send", "job.send.*.*"),
    ),
    Service(
        "inbox-watcher",
        tuple(sorted({*_says("inbox-watcher"), "bounce.hard", "bounce.soft"})),
        calls=(RPC_CREDENTIALS, *_EVERY_SERVICE_CALLS),
        answers=(_REPLAYS["inbox-watcher"],),
    ),
    Service(
        "tracker",
        _says("tracker"),
        calls=(*_EVERY_SERVICE_CALLS, *_REPLAYS.values()),
        answers=(_REPLAYS["tracker"],),
        queues=("hit.>",),
        tends_dead_letters=True,  # for the dashboard
    ),
    Service(
        "mail-provisioner",
        _says("mail-provisioner"),
        calls=_EVERY_SERVICE_CALLS,
        answers=_MAILBOXES,
    ),
)


def durables_of(service: str) -> tuple[Durable, ...]:
    return tuple(durable for durable in DURABLES if durable.service == service)


def durable(name: str) -> Durable:
    """The durable of this name; KeyError names the ones there are."""
    for candidate in DURABLES:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no durable {name!r}; there are {', '.join(d.name for d in DURABLES)}")


_STREAM_OF_EVENTS = dict.fromkeys(EVENTS, EVENT_STREAM.name)
_STREAM_OF_FAMILY = {"job": JOBS.name, "hit": HITS.name, "dead": DEAD_LETTERS.name}


def stream_of(subject: str) -> str | None:
    """The stream that holds this subject, or None where none of ours does."""
    return _STREAM_OF_EVENTS.get(subject) or _STREAM_OF_FAMILY.get(subject.partition(".")[0])
