"""Subscribers of `email.*`, each a durable of its own: argv is the address of NATS and their number."""

import asyncio
import sys

import nats
import orjson
import uvloop
from nats.aio.client import Client
from nats.errors import TimeoutError as NothingNew
from nats.js.api import ConsumerConfig


async def _subscribe(client: Client, number: int) -> None:
    events = await client.jetstream().pull_subscribe(
        "email.*",
        durable=f"subscriber{number}",
        stream="EVENTS",
        config=ConsumerConfig(ack_wait=60, max_ack_pending=10_000),
    )
    print("listening", flush=True)
    while True:
        try:
            messages = await events.fetch(100, timeout=5)
        except NothingNew:
            continue
        for message in messages:
            orjson.loads(message.data)
            await message.ack()


async def main() -> None:
    client = await nats.connect(sys.argv[1])
    await asyncio.gather(*(_subscribe(client, number) for number in range(int(sys.argv[2]))))


uvloop.run(main())
