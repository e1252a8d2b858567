"""A stream's snapshot: the same messages under the same numbers in another server."""

from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig

from postfleet_cli.backup import stream_snapshots
from postfleet_cli.exits import Refused
from tests.support.natsserver import NatsServer

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing()))


async def test_a_stream_comes_back_with_its_numbers_headers_and_holes(tmp_path: Path) -> None:
    with NatsServer() as one, NatsServer() as other:
        old, new = await nats.connect(one.url), await nats.connect(other.url)
        try:
            stream = old.jetstream()
            await stream.add_stream(StreamConfig("EVENTS", subjects=["email.*"], allow_direct=True))
            for number in range(2000):
                headers = {"Nats-Msg-Id": str(number), "ce-id": f"e{number}"}
                await stream.publish("email.sent", b"x" * 500, headers=headers)
            await stream.purge_stream("EVENTS", seq=11)
            await stream.delete_msg("EVENTS", 500)
            assert await stream_snapshots.save(old, "EVENTS", tmp_path) == 1989
            assert await stream_snapshots.load(new, "EVENTS", tmp_path) == 1989
            state = (await new.jetstream().stream_info("EVENTS")).state
            assert (state.first_seq, state.last_seq, state.messages) == (11, 2000, 1989)
            message = await new.jetstream().get_msg("EVENTS", 2000)
            assert (message.headers or {})["ce-id"] == "e1999"
            assert await new.jetstream().publish("email.sent", b"next")
            assert (await new.jetstream().stream_info("EVENTS")).state.last_seq == 2001
            with pytest.raises(Refused, match="does not take the snapshot"):
                await stream_snapshots.load(new, "EVENTS", tmp_path)
        finally:
            await old.close()
            await new.close()


async def test_a_stream_that_is_not_there_is_named(tmp_path: Path) -> None:
    with NatsServer() as server:
        client = await nats.connect(server.url)
        try:
            assert not await stream_snapshots.exists(client, "EVENTS")
            with pytest.raises(Refused, match="snapshot of EVENTS"):
                await stream_snapshots.save(client, "EVENTS", tmp_path)
            assert not (tmp_path / "EVENTS.json").exists()
        finally:
            await client.close()
