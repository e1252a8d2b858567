"""`dead-letters replay|drop --json`: what was done is told to programs, also when not all of it was."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nats.js import JetStreamContext

from postfleet.topology import DEAD_LETTERS, EVENT_STREAM
from tests.support.natsserver import NatsServer

_COMMAND = str(Path(sys.executable).parent / "postfleet")


async def _started(own_nats: NatsServer, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        _COMMAND,
        "dead-letters",
        *words,
        env={**os.environ, "NATS_URL": own_nats.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def _run(own_nats: NatsServer, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    running = await _started(own_nats, *words)
    out, errors = await running.communicate()
    assert running.returncode is not None
    return running.returncode, out.decode(), errors.decode()


async def _bury(jetstream: JetStreamContext, **other: str) -> int:
    """A dead letter as the bus writes it; its number."""
    headers = {
        "x-dead-durable": "tracker-events",
        "x-dead-subject": "email.sent",
        "x-dead-stream": EVENT_STREAM.name,
        "x-dead-reason": "no event",
        **other,
    }
    return (await jetstream.publish("dead.tracker-events.email.sent", b"{}", headers=headers)).seq


async def _messages(jetstream: JetStreamContext, stream: str) -> int:
    return (await jetstream.stream_info(stream)).state.messages


def _numbers(letters: list[dict[str, Any]]) -> list[int]:
    return [letter["number"] for letter in letters]


async def test_what_was_replayed_is_one_document(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    numbers = [await _bury(jetstream) for _ in range(2)]
    code, out, _ = await _run(own_nats, "replay", "--durable", "tracker-events", "--json")
    told = json.loads(out)
    assert (code, _numbers(told["replayed"]), told["left"]) == (0, numbers, [])
    assert told["replayed"][0]["reason"] == "no event"
    assert await _messages(jetstream, DEAD_LETTERS.name) == 0
    assert await _messages(jetstream, EVENT_STREAM.name) == 2


@pytest.mark.parametrize("form", ["--json", "text"])
async def test_one_that_cannot_be_replayed_ends_it_and_those_before_it_are_told(
    form: str, own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    first = await _bury(jetstream)
    nowhere = await _bury(jetstream, **{"x-dead-stream": ""})
    last = await _bury(jetstream)
    words = [str(number) for number in (first, nowhere, last)]
    code, out, errors = await _run(
        own_nats, "replay", *words, *([form] if form == "--json" else [])
    )
    assert code == 1
    assert errors == f"postfleet: dead letter {nowhere} does not say where it came from\n"
    if form == "--json":
        told = json.loads(out)
        assert (_numbers(told["replayed"]), _numbers(told["left"])) == ([first], [nowhere, last])
    else:
        assert out == f"replayed {first}: email.sent for tracker-events\n"
    assert await _messages(jetstream, DEAD_LETTERS.name) == 2


async def test_what_was_dropped_is_one_document(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    number = await _bury(jetstream)
    code, out, errors = await _run(own_nats, "drop", str(number), "--json")
    assert (code, out) == (2, ""), "it cannot ask a program"
    assert "--yes" in errors
    assert await _messages(jetstream, DEAD_LETTERS.name) == 1
    code, out, _ = await _run(own_nats, "drop", str(number), "--json", "--yes")
    told = json.loads(out)
    assert (code, _numbers(told["dropped"]), told["gone"]) == (0, [number], [])
    assert await _messages(jetstream, DEAD_LETTERS.name) == 0


async def test_one_that_is_gone_when_it_is_dropped_is_no_error(
    own_nats: NatsServer, jetstream: JetStreamContext
) -> None:
    numbers = [await _bury(jetstream) for _ in range(2)]
    running = await _started(own_nats, "drop", *map(str, numbers))
    assert running.stdout is not None
    async with asyncio.timeout(60):
        await running.stdout.readuntil(b"Drop 2 dead letters for good?")
        await jetstream.delete_msg(DEAD_LETTERS.name, numbers[0])  # by a colleague, meanwhile
        out, errors = await running.communicate(b"y\n")
    assert (running.returncode, errors) == (0, b"")
    assert b"dropped 1 dead letters" in out
    assert b"1 were gone already" in out
    assert await _messages(jetstream, DEAD_LETTERS.name) == 0


async def test_without_a_server_the_exit_code_says_so() -> None:
    running = await asyncio.create_subprocess_exec(
        _COMMAND,
        *("dead-letters", "replay", "1", "--json"),
        env={**os.environ, "NATS_URL": "nats://127.0.0.1:1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, _ = await running.communicate()
    assert (running.returncode, out) == (69, b"")
