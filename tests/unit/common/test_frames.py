"""What is encoded here is what the client would have written."""

from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import ConnectionClosedError

from postfleet.frames import frame, write
from postfleet.publishing import Entry

ENTRY = Entry(
    "email.sent", "e1", b'{"text":"\xc3\xa4"}', {"Nats-Msg-Id": "e1", "ce-type": "email.sent"}
)
MORE = "Nats-Batch-Id: b\r\nNats-Batch-Sequence: 1\r\n"


class _Client(Client):  # type: ignore[misc]
    """Keeps what it would write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self._max_payload = 1_000_000
        self._status = Client.CONNECTED
        self._max_pending_size = 1 << 20

    async def _send_command(self, cmd: bytes, priority: bool = False) -> None:
        self.written.append(cmd)

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        """Nothing to wake."""


async def test_a_frame_is_what_the_client_would_write() -> None:
    client = _Client()
    more = {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1"}
    await client.publish(ENTRY.subject, ENTRY.body, headers={**ENTRY.headers, **more})
    [theirs] = client.written
    assert frame(ENTRY, MORE).split() == theirs.split()
    assert len(frame(ENTRY, MORE)) in (len(theirs), len(theirs) - 1)  # a blank for no reply


@pytest.mark.parametrize("bad", ["a\r\nEvil: 1", "a\nb", "a\rb"])
def test_a_header_with_a_line_end_makes_no_frame(bad: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        frame(ENTRY._replace(headers={"ce-subject": bad}), MORE)


async def test_frames_are_joined_in_order_and_a_closed_client_refuses_them() -> None:
    client = _Client()
    frames = [b"%d" % n * 1000 for n in range(1000)]
    await write(client, frames)
    assert b"".join(client.written) == b"".join(frames)
    assert len(client.written) < 20
    client._status = Client.CLOSED
    with pytest.raises(ConnectionClosedError):
        await write(client, frames)
