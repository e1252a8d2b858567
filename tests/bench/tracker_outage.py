"""The bus is away while 500 hits a second come: none may be lost, and memory must stay flat.

    python -m tests.bench.tracker_outage [--write]

60 seconds; `OUTAGE_SECONDS=600` is the whole promise. `--write` keeps the result beside the report.
The tracker is a process as it is deployed. Afterwards every hit is judged, stored and told, which takes
about half as long again; how far it is stands on standard error.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from nats.js.api import StreamInfo

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.reconcile import apply
from postfleet.secrets import KeyRing
from postfleet.tokens import Purpose, TokenKeys
from tests.bench.tracker_hits import _KEY, _ready, _tracker
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.ports import free_ports
from tests.support.tracker import new_id, sent

_RATE = 500  # hits a second
_MAILS = 2000
_SAYS_EVERY = 10.0  # seconds
_PATIENCE = 120.0  # seconds in which at least one more hit comes out at the other end


def _resident_mb(pid: int) -> float:
    fields = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) / 1024


async def _prepare(bus: Bus) -> list[str]:
    await apply(bus.jetstream)
    deliveries = [new_id() for _ in range(_MAILS)]
    await bus.publish(*(Announcement(sent(delivery)) for delivery in deliveries))
    return deliveries


async def _hit(port: int, paths: list[str], seconds: int, pid: int) -> tuple[int, list[float]]:
    """Open one pixel after another, at the rate; how many were answered, and memory by the second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered, memory, start = 0, [_resident_mb(pid)], time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        for _ in range(int(elapsed * _RATE) - answered):
            path = paths[answered % len(paths)]
            request = f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: Mozilla/5.0 (X11)\r\n\r\n"
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(43)
            answered += 1
        if elapsed > len(memory):
            memory.append(_resident_mb(pid))
        await asyncio.sleep(0.01)
    writer.close()
    return answered, memory


async def _opened(bus: Bus) -> int:
    info: StreamInfo = await bus.jetstream.stream_info("EVENTS", subjects_filter="email.opened")
    return sum((info.state.subjects or {}).values())


async def _told(bus: Bus, expected: int) -> int:
    """Wait for as many events, as long as there come more."""
    found, deadline, said = 0, time.monotonic() + _PATIENCE, 0.0
    while found < expected and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        before, found = found, await _opened(bus)
        if found > before:
            deadline = time.monotonic() + _PATIENCE
        if time.monotonic() - said > _SAYS_EVERY:
            said = time.monotonic()
            print(f"  {found} of {expected} hits have come out", file=sys.stderr, flush=True)
    return found


async def run(seconds: int) -> dict[str, float]:
    """What was answered without the bus, what came out of it afterwards, and memory."""
    root, port = Path(tempfile.mkdtemp(prefix="outage")), free_ports(1)[0]
    with NatsServer() as nats, MongoServer() as mongo:
        bus = Bus(nats.url, "dispatcher")
        await bus.connect()
        deliveries = await _prepare(bus)
        keys = TokenKeys(KeyRing.parse(_KEY))
        paths = [f"/o/{keys.make(Purpose.OPEN, delivery)}.gif" for delivery in deliveries]
        tracker = _tracker(nats.url, mongo.url, root, port)
        try:
            await asyncio.to_thread(_ready, f"http://127.0.0.1:{port}/readyz")
            await asyncio.to_thread(nats.kill)
            answered, memory = await _hit(port, paths, seconds, tracker.pid)
            await asyncio.to_thread(nats.start)
            back = time.perf_counter()
            found = await _told(bus, answered)
            drained = found / (time.perf_counter() - back)
        finally:
            tracker.kill()
            await bus.stop()
    half = len(memory) // 2
    return {
        "seconds": seconds,
        "answered": answered,
        "told": found,
        "lost": answered - found,
        "told_per_second": round(drained),
        "memory_mb_first_half": round(max(memory[: half + 1]), 1),
        "memory_mb_second_half": round(max(memory[half:]), 1),
    }


if __name__ == "__main__":
    result = json.dumps(asyncio.run(run(int(os.environ.get("OUTAGE_SECONDS", "60")))))
    print(result)
    if "--write" in sys.argv:
        Path("docs/benchmarks/tracker-outage.json").write_text(result + "\n")
