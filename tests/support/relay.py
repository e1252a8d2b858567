"""SMTP in of a dispatcher process; the test's registry answers for its senders over NATS."""

import ssl
from hashlib import sha256
from typing import Any

import orjson
from nats.aio.msg import Msg

from postfleet.topology import RPC_RELAY
from tests.support.dispatcher import SENDER, Dispatcher, DispatcherWorld
from tests.support.ports import free_ports

LOGIN, PASSWORD = "ann@fleet-test.relay.test", "correct horse"


class Relay:
    """`submission` and `plain` are its ports. Who knows the password, or comes from here, is let in."""

    def __init__(self, world: DispatcherWorld, one: Dispatcher) -> None:
        self.world, self.one = world, one
        self.submission, self.plain = free_ports(2)
        self.data = world.folder / f"{one.instance}-data"

    async def start(self, fail_point: str = "", **settings: str) -> None:
        await self.world.bus.client.subscribe(RPC_RELAY, cb=self._whose)
        await self.world.say_sender(access_methods=("smtp",))
        await self.again(fail_point, **settings)
        await self.world.until(self.world._sender_known, "the sender is known")

    async def again(self, fail_point: str = "", **settings: str) -> None:
        """Start the process, also after its end."""
        await self.one.start(
            fail_point,
            POSTFLEET_DATA_DIR=str(self.data),
            POSTFLEET_DISPATCHER_SMTP_PORT=str(self.submission),
            POSTFLEET_DISPATCHER_SMTP_PLAIN_PORT=str(self.plain),
            **settings,
        )

    @property
    def certificate(self) -> str:
        return str(self.data / "tls" / "smtp.pem")

    @property
    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)

    async def _whose(self, message: Msg) -> None:
        asked: dict[str, Any] = orjson.loads(message.data)
        hashed = sha256(PASSWORD.encode()).hexdigest()
        logged_in = asked == {"login": LOGIN, "hash": hashed}
        from_here = asked == {"ip": "127.0.0.1", "address": SENDER}
        found = {"sender_id": "s1", "email_address": SENDER}
        answer = found if logged_in or from_here else {"sender_id": None}
        await message.respond(orjson.dumps(answer))
