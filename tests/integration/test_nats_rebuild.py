"""A new subscriber reads the whole retention; the tracker's state is made again from the stream."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.events.deliveries import BounceHard
from postfleet.events.event import Event
from postfleet.events.inbox import ReplyDetected
from postfleet.events.tracking import EmailOpened, RecipientUnsubscribed
from postfleet.reconcile import apply
from postfleet.topology import EVENT_STREAM, durables_of
from tests.support import tracker as harness
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import LONG_AGO, RunningTracker, compiled, created, sent

_COMMAND = str(Path(sys.executable).parent / "postfleet")
GUIDE = Path(__file__).parents[2] / "docs/subscribe.md"

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing()))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    """One server for all trackers of a test, so that they read the same stream."""
    with NatsServer() as server:
        monkeypatch.setattr(harness, "NatsServer", lambda: contextlib.nullcontext(server))
        yield server


def _postfleet(server: NatsServer, *words: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "NATS_URL": server.url}
    return subprocess.run(
        [_COMMAND, *words], env=env, capture_output=True, text=True, check=False, timeout=60
    )


def _history() -> list[Event]:
    """A campaign of 60 mails, and what became of them."""
    at = datetime.now(UTC) - LONG_AGO
    said: list[Event] = [created(), compiled({"link-1": "https://one.test/offer"})]
    for number in range(60):
        base = {
            "campaign_id": "spring",
            "delivery_id": f"{number:032x}",
            "lead_id": f"lead-{number}",
            "variant": "ab"[number % 2],
            "recipient": f"{number}@example.org",
            "occurred_at": at + timedelta(minutes=number),
        }
        facts = {**base, "step": 1, "sender_id": f"sender-{number % 3}", "message_id": ""}
        said.append(sent(**base, sender_id=f"sender-{number % 3}"))
        if number % 4 == 0:
            said.append(EmailOpened(**facts, verdict="human", first=True))
        if number % 7 == 0:
            said.append(BounceHard(**facts, observed="dsn"))
        if number % 9 == 0:
            said.append(ReplyDetected(**facts, inbound_id=f"in-{number}", matched_by="message_id"))
        if number % 20 == 0:
            said.append(RecipientUnsubscribed(**facts))
    return said


async def _figures(tracker: RunningTracker) -> dict[str, Any]:
    """Everything that the tracker shows."""
    now = datetime.now(UTC)
    period = {"from": (now - timedelta(days=1)).date(), "to": (now + timedelta(days=1)).date()}
    query = "&".join(f"{name}={value}" for name, value in period.items())
    return {
        path: await tracker.get(path)
        for path in (
            "overview",
            f"activity?{query}&bucket=day",
            "campaigns/spring",
            "variants/spring",
            "leads/0@example.org/timeline",
            "leads/20@example.org/timeline",
        )
    }


async def _drained(tracker: RunningTracker) -> bool:
    for durable in durables_of("tracker"):
        info = await tracker.bus.jetstream.consumer_info(durable.stream, durable.name)
        if info.num_pending or info.num_ack_pending:
            return False
    return True


async def test_the_trackers_state_is_made_again_from_the_stream_in_an_empty_database(
    server: NatsServer, mongo_server: MongoServer, tmp_path: Path
) -> None:
    async with harness.running_tracker(mongo_server.url, tmp_path / "first") as tracker:
        await tracker.say(*_history())
        for number in (1, 2, 3):  # hits of people: what the tracker itself says is in the stream
            assert (await tracker.http.get(tracker.pixel(f"{number:032x}"))).status_code == 200
        await tracker.counted(sent=60, opened=18, bounced_hard=9, replied=7, unsubscribed=3)
        await tracker.until(lambda: _drained(tracker))
        before = await _figures(tracker)

    done = await asyncio.to_thread(_postfleet, server, "bus", "rebuild", "tracker", "--json")
    assert done.returncode == 0, done.stderr
    again = {one["durable"]: one["events"] for one in json.loads(done.stdout)["rebuilt"]}
    assert set(again) == {d.name for d in durables_of("tracker") if d.stream == EVENT_STREAM.name}
    assert again["tracker-events"] >= 60

    async with harness.running_tracker(mongo_server.url, tmp_path / "second") as tracker:
        await tracker.counted(sent=60, opened=18)
        await tracker.until(lambda: _drained(tracker))
        assert await _figures(tracker) == before


async def test_hearing_everything_again_changes_no_figure(
    server: NatsServer, mongo_server: MongoServer, tmp_path: Path
) -> None:
    async with harness.running_tracker(mongo_server.url, tmp_path) as tracker:
        await tracker.say(*_history())
        await tracker.counted(sent=60, opened=15)
        await tracker.until(lambda: _drained(tracker))
        before = await _figures(tracker)
        done = await asyncio.to_thread(_postfleet, server, "bus", "rebuild", "tracker")
        assert done.returncode == 0, done.stderr
        await tracker.until(lambda: _drained(tracker))
        assert await _figures(tracker) == before


async def test_what_cannot_be_rebuilt_is_refused(server: NatsServer) -> None:
    done = await asyncio.to_thread(_postfleet, server, "bus", "rebuild", "dispatcher-jobs")
    assert done.returncode == 1
    assert "cannot be rebuilt" in done.stderr


def _python(folder: Path) -> list[str]:
    (folder / "subscriber.py").write_text(_example("python"))
    return [sys.executable, str(folder / "subscriber.py")]


def _node(folder: Path) -> list[str]:
    """With the client from npm, by its own program, into this test's folder."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node and npm here: apt-get install nodejs npm")
    (folder / "package.json").write_text('{"type": "module", "dependencies": {"nats": "2.29.3"}}')
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm does not give the client nats: {done.stderr.strip()[-200:]}")
    (folder / "subscriber.js").write_text(_example("js"))
    return ["node", str(folder / "subscriber.js")]


def _go(folder: Path) -> list[str]:
    if not shutil.which("go"):
        pytest.skip("no go here: apt-get install golang-go")
    (folder / "main.go").write_text(_example("go"))
    for command in (["mod", "init", "subscriber"], ["get", "github.com/nats-io/nats.go@v1.31.0"]):
        done = subprocess.run(
            ["go", *command], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"go does not give the client nats.go: {done.stderr.strip()[-200:]}")
    subprocess.run(["go", "build", "-o", "subscriber", "."], cwd=folder, check=True)
    return [str(folder / "subscriber")]


@pytest.mark.parametrize(
    ("language", "prepared"), [("python", _python), ("js", _node), ("go", _go)]
)
async def test_the_guides_subscriber_reads_the_whole_retention(
    server: NatsServer, tmp_path: Path, language: str, prepared: Callable[[Path], list[str]]
) -> None:
    command = await asyncio.to_thread(prepared, tmp_path)
    bus = Bus(server.url, "dispatcher")
    await bus.connect()
    await apply(bus.jetstream)
    await bus.publish(*(Announcement(sent(f"delivery-{n}"), f"event-{n}") for n in range(700)))
    lines = [line for line in _example(language).splitlines() if line.strip(" \t{}()")]
    assert len(lines) <= 20
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "NATS_URL": server.url},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            heard = [(await process.stdout.readline()).decode() for _ in range(700)]
            await bus.publish(Announcement(sent("late"), "event-late"))
            heard.append((await process.stdout.readline()).decode())
    finally:
        process.terminate()
        await process.wait()
        await bus.stop()
    expected = [*(f"event-{n}" for n in range(700)), "event-late"]
    assert [line.split()[0] for line in heard] == expected
    assert all("email.sent" in line for line in heard)


def _example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)
