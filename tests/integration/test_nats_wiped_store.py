"""`postfleet up` loses the store of NATS in the middle of a campaign: streams are made again, jobs
too, nobody is mailed twice or not at all, and one command says again what was said."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest

from tests.support.natsserver import NatsServer
from tests.support.platform import Platform

_COMMAND = str(Path(sys.executable).with_name("postfleet"))

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing()))


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Platform]:
    with Platform(tmp_path / "data", demo=True) as running:
        running.wait_for("is ready", 120)
        yield running


def _accepted(up: Platform) -> Counter[str]:
    """How many mails each recipient's server took."""
    records = up.sandbox("/ledger")
    return Counter(r["recipient"] for r in records if r["kind"] == "accepted")


async def _sent(url: str) -> Counter[str]:
    """The ids of email.sent in the stream."""
    client = await nats.connect(url)
    heard = await client.jetstream().subscribe("email.sent", ordered_consumer=True)
    ids: Counter[str] = Counter()
    try:
        while True:
            message = await heard.next_msg(timeout=2)
            ids[(message.headers or {})["ce-id"]] += 1
    except TimeoutError:
        return ids
    finally:
        await client.close()


def _announce(up: Platform) -> dict[str, Any]:
    env = {
        **os.environ,
        "POSTFLEET_URL": up.url,
        "POSTFLEET_API_KEY": (up.data / "api-key").read_text().strip(),
    }
    command = [_COMMAND, "ledger", "announce", "--since", "1h", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _ready(up: Platform) -> bool:
    return httpx.get(f"{up.url}/readyz", timeout=10, trust_env=False).status_code == 200


@pytest.mark.timeout(300)
def test_a_wiped_store_costs_no_mail_and_the_events_can_be_said_again(up: Platform) -> None:
    up.wait_until(lambda: up.sandbox("/summary")["accepted"] > 20, 60, "first mails")
    old = up.signal("nats")
    shutil.rmtree(up.data / "nats")
    before = sum(_accepted(up).values())
    up.wait_until(lambda: up.pid("nats") not in (None, old), 30, "a new NATS")
    ready_after = up.wait_until(lambda: _ready(up), 90, "readiness")
    with up.api() as api:
        campaign = api.get("/campaigns").json()["items"][0]["id"]

        def finished() -> bool:
            return bool(api.get(f"/campaigns/{campaign}").json()["status"] == "completed")

        finished_after = up.wait_until(finished, 180, "the end of the campaign")
    print(f"ready after {ready_after:.0f} s, campaign completed {finished_after:.0f} s later")
    accepted = sum(_accepted(up).values())
    assert accepted > before
    assert up.sandbox("/summary")["duplicates"] == 0

    said = _announce(up)
    assert said["events"] >= accepted
    sent = asyncio.run(_sent(up.nats_url))
    assert len(sent) == accepted, "every mail has its event again"
    assert max(sent.values()) == 1, "under its old id"
