"""Writes what postfleet.topology says about who may say, hear and call what.

    python deploy/nats/render.py            prints the configuration
    python deploy/nats/render.py --write    deploy/nats/nats.conf, where compose and Kubernetes read
                                            it, and docs/permissions.md, the same for people

Least privilege: a service publishes its own events, its own queues and the dead letters of its own
durables, pulls and acknowledges from its own durables, and hears nothing but its inbox and the
calls it answers. Streams and consumers are made by the user `ops` (`postfleet bus apply`) alone.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from postfleet.events import EVENTS
from postfleet.topology import DEAD_LETTERS, DURABLES, STREAMS, Durable, Service, durables_of
from postfleet.topology import SERVICES as DECLARED

CONFIGURATION = Path(__file__).with_name("nats.conf")
TABLE = Path(__file__).parents[2] / "docs/permissions.md"
USERS = ("ops", *(service.name for service in DECLARED))

HEAD = """\
# Written by deploy/nats/render.py from postfleet.topology; change it there.
#
# Passwords come from the environment, which the server parses again: a value must start with a
# letter (deploy/make-env sees to it), or it is read as a number.

server_name: postfleet
listen: "0.0.0.0:4222"
http: "0.0.0.0:8222"      # health checks; never published outside the cluster
max_payload: 1MB
write_deadline: "10s"
lame_duck_grace_period: "2s"
lame_duck_duration: "30s" # shorter than the container's grace period

# TLS from the first byte: nobody can talk a client out of it. Certificates: deploy/nats/make-certs.
tls {
  cert_file: "/etc/nats-tls/tls.crt"
  key_file: "/etc/nats-tls/tls.key"
  handshake_first: true
  min_version: "1.2"
  timeout: 5
}

jetstream {
  # The store is where --store_dir says.
  max_memory_store: 64MB  # every stream is on disk
  max_file_store: 8GB     # below the volume: JetStream refuses before the disk is full
  sync_interval: always   # a PubAck means that the message is on disk
  strict: true
}
"""

ACCOUNTS = """\
accounts {
  POSTFLEET: {
    jetstream: enabled
    users: [
USERS
    ]
  }
}
"""


def password_variable(user: str) -> str:
    """The environment variable that holds the password of a user: `ops` has OPS_PASSWORD."""
    return f"{user.upper().replace('-', '_')}_PASSWORD"


def places(durables: Iterable[Durable]) -> list[str]:
    """`stream.durable`; `stream.*` where the partitions of one queue share a stream of their own."""
    durables = list(durables)
    shared = {durable.stream for durable in durables if durable.part_of}
    strangers = {d.stream for d in DURABLES if d not in durables}
    own = shared - strangers
    named = [f"{d.stream}.{d.name}" for d in durables if d.stream not in own]
    return [*named, *(f"{stream}.*" for stream in sorted(own))]


def pull_subjects(place: str) -> list[str]:
    """What a service publishes to look at, pull from and acknowledge on one durable.

    Servers from 2.15 on may use ack subjects that carry the domain and the account's hash.
    """
    return [
        f"$JS.API.CONSUMER.INFO.{place}",
        f"$JS.API.CONSUMER.MSG.NEXT.{place}",
        f"$JS.ACK.{place}.>",
        f"$JS.ACK.*.*.{place}.>",
    ]


def dead_letter_subjects(service: Service) -> list[str]:
    """A service reads its own dead letters, one by its subject; who tends them, all, and drops them."""
    stream = DEAD_LETTERS.name
    if service.tends_dead_letters:
        own = [f"$JS.API.DIRECT.GET.{stream}", f"$JS.API.STREAM.MSG.DELETE.{stream}"]
    else:
        own = []
    durables = durables_of(service.name)
    return own + [
        f"$JS.API.DIRECT.GET.{stream}.dead.{durable.name}.>"
        for durable in durables
        if not durable.part_of
    ]


def publishes(service: Service) -> list[str]:
    durables = durables_of(service.name)
    return [
        *service.says,
        *service.queues,
        *service.calls,
        *(f"dead.{durable.name}.>" for durable in durables if not durable.part_of),
        *dead_letter_subjects(service),
        *(subject for place in places(durables) for subject in pull_subjects(place)),
        *([f"$JS.API.STREAM.INFO.{DEAD_LETTERS.name}"] if durables else []),  # how many there are
    ]


def subscribes(service: Service) -> list[str]:
    """Its inbox, and the calls it answers: as a member of its queue group only."""
    return [f"_INBOX_{service.name}.>", *(f"{call} {service.name}" for call in service.answers)]


def user(name: str, publish: Iterable[str], subscribe: Iterable[str], *, answers: bool) -> str:
    lines = [f"      {{ user: {name}, password: ${password_variable(name)}, permissions: {{"]
    for verb, subjects in (("publish", publish), ("subscribe", subscribe)):
        lines.append(f"          {verb}: {{ allow: [")
        lines += [f'            "{subject}"' for subject in subjects]
        lines.append("          ] }")
    if answers:
        lines.append('          allow_responses: { max: 1, expires: "10s" }')
    lines.append("      } }")
    return "\n".join(lines)


def rights(name: str) -> tuple[list[str], list[str]]:
    """What a user may publish, and subscribe to; `subject queue` is for members of the queue only."""
    if name == "ops":
        every_subject = sorted({subject for stream in STREAMS for subject in stream.subjects})
        return (
            ["$JS.API.>", "$JS.ACK.>", "$JS.SNAPSHOT.>", *every_subject],
            ["_INBOX_ops.>", "$JS.EVENT.ADVISORY.>"],
        )
    service = next(service for service in DECLARED if service.name == name)
    return publishes(service), subscribes(service)


def render() -> str:
    """The whole file; the same topology gives the same bytes."""
    users = []
    for name in USERS:
        whole = (durable.name for durable in durables_of(name) if not durable.part_of)
        hears = ", ".join(whole) or "no durable"
        does = "operators: `postfleet bus apply`, `postfleet dead-letters`"
        users.append(f"      # {does if name == 'ops' else f'{name}: {hears}'}")
        answers = any(service.name == name and service.answers for service in DECLARED)
        users.append(user(name, *rights(name), answers=answers))
    accounts = "\n".join(users)
    return f"{HEAD}\n{ACCOUNTS.replace('USERS', accounts)}"


# -- the same for people -------------------------------------------------------------------------

INTRODUCTION = """\
# Who may do what on NATS

Written by `python deploy/nats/render.py --write` from `postfleet.topology`; change it there. A test
starts a server with `deploy/nats/nats.conf`, tries every user on every subject below, and compares
the server's answers with this table.

`P` may publish, `S` may subscribe, `Q` may subscribe as a member of its own queue group only (it
answers requests, and shares them with its replicas). An empty field: refused. Every user hears its
own inbox and no other; nobody but `ops` makes, changes or reads streams and consumers, with one
exception for the dashboard's dead letters: a service reads its own (each has a subject of its own,
`dead.<durable>.<subject>.<number>`), the tracker reads all of them and drops them. For another try
it asks the service whose they are (`rpc.replay.<service>`), by number: it can forge no event. Each
service may ask how many there are. Of the partitions of a queue the first stands for all.
"""


def matches(pattern: str, subject: str) -> bool:
    """NATS's rule: `*` is one token, `>` one or more at the end."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(given) > place
        if place >= len(given) or given[place] == ">" or part not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


def subjects() -> dict[str, list[str]]:
    """Every subject of the platform by title, and those that nobody should reach."""
    shown = [d for d in DURABLES if not d.part_of or d.name.endswith("-00")]
    of_durables = [f"{durable.stream}.{durable.name}" for durable in shown]
    calls = sorted({call for service in DECLARED for call in (*service.calls, *service.answers)})
    return {
        "Events": sorted(EVENTS),
        "Work queues": [
            "job.send",
            "job.send.campaign.00",
            "hit.open",
            "hit.click",
            "hit.unsubscribe",
        ],
        "Requests": calls,
        "Dead letters": [
            f"dead.{durable.name}.email.sent" for durable in DURABLES if not durable.part_of
        ],
        "Pulling from a durable": [
            f"$JS.API.CONSUMER.{verb}.{place}" for place in of_durables for verb in _PULLING
        ],
        "Acknowledging, before server 2.15": [
            f"$JS.ACK.{place}.1.1.1.1.0" for place in of_durables
        ],
        "Acknowledging, since server 2.15": [
            f"$JS.ACK._.hash.{place}.1.1.1.1.0.token" for place in of_durables
        ],
        "Administration": [
            *(f"$JS.API.STREAM.{verb}.{stream.name}" for stream in STREAMS for verb in _STREAM),
            *(f"$JS.API.DIRECT.GET.{stream.name}" for stream in STREAMS),
            *(f"$JS.API.DIRECT.GET.{DEAD_LETTERS.name}.dead.{d.name}.a.b.7" for d in DURABLES),
            *(f"$JS.API.CONSUMER.{verb}.{place}" for place in of_durables for verb in _CONSUMER),
            "$JS.API.INFO",
            "$JS.API.STREAM.LIST",
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.EVENTS.tracker-events",
            "$SYS.REQ.SERVER.PING",
        ],
        "Inboxes": [f"_INBOX_{name}.reply" for name in USERS] + ["_INBOX.reply"],
        "Everything, and anything else": [
            *(">", "*.*", "email.*", "job.>", "hit.>", "dead.>", "rpc.>", "_INBOX.>", "$JS.>"),
            *(f"_INBOX_{name}.>" for name in USERS),
            "anything.else",
        ],
    }


_PULLING = ("INFO", "MSG.NEXT")
_STREAM = ("CREATE", "UPDATE", "DELETE", "PURGE", "INFO", "MSG.GET", "MSG.DELETE")
_CONSUMER = ("CREATE", "DELETE", "PAUSE", "RESET")


def cell(name: str, subject: str) -> str:
    """What a user may do with a subject, in letters."""
    publish, subscribe = rights(name)
    wild = subject.split(".")[-1] in (">", "*")
    said = "P" if not wild and any(matches(p, subject) for p in publish) else ""
    plain = [pattern for pattern in subscribe if " " not in pattern]
    queue = [pattern.split()[0] for pattern in subscribe if " " in pattern]
    if any(matches(pattern, subject) for pattern in plain):
        return f"{said}S"
    return f"{said}Q" if any(matches(pattern, subject) for pattern in queue) else said


def table() -> str:
    """docs/permissions.md."""
    lines = [INTRODUCTION]
    for title, listed in subjects().items():
        lines += [f"## {title}", "", f"| subject | {' | '.join(USERS)} |"]
        lines.append("|---|" + ":-:|" * len(USERS))
        for subject in listed:
            cells = " | ".join(cell(name, subject) for name in USERS)
            lines.append(f"| `{subject}` | {cells} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    known = {service.name for service in DECLARED}
    strangers = [durable.name for durable in DURABLES if durable.service not in known]
    if strangers:
        raise SystemExit(f"no service declares {', '.join(strangers)}: fix postfleet.topology")
    if sys.argv[1:] == ["--write"]:
        CONFIGURATION.write_text(render())
        TABLE.write_text(table())
    else:
        sys.stdout.write(render())


if __name__ == "__main__":
    main()
