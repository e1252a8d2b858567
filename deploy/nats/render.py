"""Writes deploy/nats/nats.conf from postfleet.topology: who may say, hear and call what.

    python deploy/nats/render.py            prints the configuration
    python deploy/nats/render.py --write    puts it where compose and Kubernetes read it

Least privilege: a service publishes its own events, its own queues and the dead letters of its own
durables, pulls and acknowledges from its own durables, and hears nothing but its inbox and the
calls it answers. Streams and consumers are made by the user `ops` (`postfleet bus apply`) alone.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from postfleet.topology import DURABLES, STREAMS, Durable, Service, durables_of
from postfleet.topology import SERVICES as DECLARED

CONFIGURATION = Path(__file__).with_name("nats.conf")

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

jetstream {
  # The store is where --store_dir says.
  max_memory_store: 64MB  # every stream is on disk
  max_file_store: 8GB     # below the volume: JetStream refuses before the disk is full
  sync_interval: always   # one node: a PubAck means that the message is on disk
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


def pull_subjects(durable: Durable) -> list[str]:
    """What a service publishes to look at, pull from and acknowledge on one durable.

    Servers from 2.15 on may use ack subjects that carry the domain and the account's hash.
    """
    place = f"{durable.stream}.{durable.name}"
    return [
        f"$JS.API.CONSUMER.INFO.{place}",
        f"$JS.API.CONSUMER.MSG.NEXT.{place}",
        f"$JS.ACK.{place}.>",
        f"$JS.ACK.*.*.{place}.>",
    ]


def publishes(service: Service) -> list[str]:
    durables = durables_of(service.name)
    return [
        *service.says,
        *service.queues,
        *service.calls,
        *(f"dead.{durable.name}.>" for durable in durables),
        *(subject for durable in durables for subject in pull_subjects(durable)),
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


def render() -> str:
    """The whole file; the same topology gives the same bytes."""
    every_subject = sorted({subject for stream in STREAMS for subject in stream.subjects})
    users = [
        "      # Operators: `postfleet bus apply`, `postfleet dead-letters`.",
        user(
            "ops",
            ["$JS.API.>", "$JS.ACK.>", *every_subject],
            ["_INBOX_ops.>", "$JS.EVENT.ADVISORY.>"],
            answers=False,
        ),
    ]
    for service in DECLARED:
        hears = ", ".join(durable.name for durable in durables_of(service.name)) or "no durable"
        users.append(f"      # {service.name}: {hears}")
        users.append(
            user(
                service.name,
                publishes(service),
                subscribes(service),
                answers=bool(service.answers),
            )
        )
    accounts = "\n".join(users)
    return f"{HEAD}\n{ACCOUNTS.replace('USERS', accounts)}"


def main() -> None:
    known = {service.name for service in DECLARED}
    strangers = [durable.name for durable in DURABLES if durable.service not in known]
    if strangers:
        raise SystemExit(f"no service declares {', '.join(strangers)}: fix postfleet.topology")
    if sys.argv[1:] == ["--write"]:
        CONFIGURATION.write_text(render())
    else:
        sys.stdout.write(render())


if __name__ == "__main__":
    main()
