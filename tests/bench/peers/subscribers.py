"""Subscribers of `email.*`, each a durable of its own: argv is the address of NATS and their number.

They hear what comes from now on, behind everything else on this machine: see `_stand_back`.
"""

import asyncio
import os
import sys
from pathlib import Path

import nats
import orjson
import uvloop
from nats.aio.client import Client
from nats.errors import TimeoutError as NothingNew
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy


async def _subscribe(client: Client, number: int) -> None:
    events = await client.jetstream().pull_subscribe(
        "email.*",
        durable=f"subscriber{number}",
        stream="EVENTS",
        config=ConsumerConfig(
            ack_wait=60,
            ack_policy=AckPolicy.ALL,
            deliver_policy=DeliverPolicy.NEW,
            max_ack_pending=10_000,
        ),
    )
    print("listening", flush=True)
    while True:
        try:
            messages = await events.fetch(100, timeout=5)
        except NothingNew:
            continue
        for message in messages:
            orjson.loads(message.data)
        await messages[-1].ack()


def _stand_back() -> None:
    """The lowest priority. Linux shares a core between sessions first, and each has a nice value of
    its own (sched(7), autogroup): that of the process alone would count within this session only."""
    os.nice(19)
    session = Path("/proc/self/autogroup")
    if session.exists():
        session.write_text("19")


async def main() -> None:
    _stand_back()
    client = await nats.connect(sys.argv[1])
    await asyncio.gather(*(_subscribe(client, number) for number in range(int(sys.argv[2]))))


uvloop.run(main())
