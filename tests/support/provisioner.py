"""A mail provisioner that runs in the test's own process, and a DNS server that says what it is told."""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import httpx
import nats
import orjson

from mail_provisioner.app import build
from mail_provisioner.settings import Settings
from postfleet.secrets import KeyRing

API_KEY = "a-key-for-the-tests-of-the-provisioner"
MASTER_KEY = KeyRing.generate()
ACCOUNTS, ALIASES = "postfix-accounts.cf", "postfix-virtual.cf"


class DnsServer(asyncio.DatagramProtocol):
    """Answers TXT questions from `texts`; everything else does not exist."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.silent = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: Any) -> None:
        if self.silent:
            return
        question = dns.message.from_wire(data)
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        name = question.question[0].name
        values = self.texts.get(name.to_text(omit_final_dot=True).lower(), [])
        if values:
            quoted = [
                " ".join(f'"{v[i : i + 255]}"' for i in range(0, len(v), 255)) for v in values
            ]
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *quoted))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), address)


class Service:
    """One running provisioner and what a test wants to ask it and its surroundings."""

    def __init__(self, http: httpx.AsyncClient, bus: nats.NATS, dns: DnsServer, config: Path):
        self.http, self.bus, self.dns, self.config = http, bus, dns, config

    def lines(self, name: str) -> list[str]:
        path = self.config / name
        return path.read_text().splitlines() if path.exists() else []

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)

    async def domain(self) -> str:
        """A new domain, verified."""
        name = f"d{secrets.token_hex(5)}.test"
        added = (await self.post("/domains", name=name)).json()
        record = added["verification"]
        self.dns.texts[record["name"]] = ["something else", record["value"]]
        verified = await self.post(f"/domains/{name}/verify")
        assert verified.json()["state"] == "verified", verified.text
        return name

    async def events(self, about: str, count: int) -> list[tuple[str, dict[str, Any], str]]:
        """(subject, body, id) of the first `count` events whose aggregate is `about`."""
        found: list[tuple[str, dict[str, Any], str]] = []
        stream = self.bus.jetstream()
        subscription = await stream.subscribe("*.*", stream="EVENTS", ordered_consumer=True)
        async with asyncio.timeout(10):
            while len(found) < count:
                message = await subscription.next_msg(timeout=10)
                headers = message.headers or {}
                if headers["ce-subject"] == about:
                    found.append((message.subject, orjson.loads(message.data), headers["ce-id"]))
        await subscription.unsubscribe()
        return found

    async def count_events(self, subject: str) -> Counter[str]:
        """How often an event of this subject was said about each aggregate, up to now."""
        stream = self.bus.jetstream()
        info = await stream.stream_info("EVENTS", subjects_filter=subject)
        expected = (info.state.subjects or {}).get(subject, 0)
        subscription = await stream.subscribe(subject, stream="EVENTS", ordered_consumer=True)
        found: Counter[str] = Counter()
        while found.total() < expected:
            message = await subscription.next_msg(timeout=10)
            found[(message.headers or {})["ce-subject"]] += 1
        await subscription.unsubscribe()
        return found

    async def secret(self, address: str) -> dict[str, Any]:
        request = orjson.dumps({"address": address})
        answer = await self.bus.request("rpc.mailbox.secret", request, timeout=5)
        content: dict[str, Any] = orjson.loads(answer.data)
        return content

    async def eventually(self, holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(20):
            while not await holds():  # noqa: ASYNC110 (nobody tells us)
                await asyncio.sleep(0.05)


def opened(answer: dict[str, Any]) -> str:
    return KeyRing.parse(MASTER_KEY).open(
        answer["sealed"], service=answer["service"], record=answer["record"], name=answer["name"]
    )


Start = Callable[..., contextlib.AbstractAsyncContextManager[Service]]


@contextlib.asynccontextmanager
async def provisioner(bus: nats.NATS, **settings: Any) -> AsyncIterator[Service]:
    """Running and ready; `settings` need the two servers, a database prefix and `config_dir`."""
    loop = asyncio.get_running_loop()
    transport, answers = await loop.create_datagram_endpoint(DnsServer, ("127.0.0.1", 0))
    known = {
        "master_key": MASTER_KEY,
        "api_key": API_KEY,
        "resolver": f"127.0.0.1:{answers.port}",
        "outbound_probes": "127.0.0.1:1",  # nobody: no test asks the world
        "dnsbl": "",
    }
    app = build(Settings(**{**known, **settings}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://test/api/public/v1",
            headers={"X-API-Key": API_KEY},
            timeout=30,
        ) as http,
    ):
        service = Service(http, bus, answers, settings["config_dir"])

        async def ready() -> bool:
            return (await http.get("http://test/readyz")).status_code == 200

        await service.eventually(ready)
        yield service
    transport.close()
