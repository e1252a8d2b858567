"""Publishing with confirmation: every message is acknowledged by JetStream or named as failed.

Several messages of one stream go as an atomic batch (ADR-50): stored and synchronised to disk
together, and acknowledged once. What a batch cannot do is done one by one, under the same ids.
"""

import asyncio
import contextlib
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, MaxPayloadError
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NoStreamResponseError

from postfleet.frames import frame, write
from postfleet.topology import stream_of

PUBLISH_TIMEOUT = 20.0  # seconds; rides out a leader election of 15 s
_WINDOW = 1000  # unconfirmed publishes at most
_RESEND_AFTER = 3.0  # seconds; a killed server or an election swallows what was on its way
_POLL = 0.05
_TOGETHER_FROM = 3  # fewer are quicker one by one
_BATCHES = 20  # at a time; the server allows 50 for a stream
_HEADERS_ROOM = 4096  # more than our headers ever take; beyond it we count exactly
_PAUSE = 0.25  # before the next try
#: A silence, or a stream that nobody leads now: an election ends by itself.
_NOBODY_ANSWERS = (TimeoutError, NoStreamResponseError)


class Entry(NamedTuple):
    subject: str
    id: str
    body: bytes
    headers: dict[str, str]


Failed = dict[str, BaseException | None]


def size_on_wire(body: bytes, headers: Mapping[str, str]) -> int:
    """What the server holds against max_payload; it closes the connection of who sends more."""
    return len(body) + 12 + sum(len(k.encode()) + len(v.encode()) + 4 for k, v in headers.items())


class Publisher:
    """At most `_WINDOW` unconfirmed messages at a time, shared by all who publish here.

    nats-py's `publish_async` is not used: it drops the acknowledgement that says "refused" (a full
    disk looks like silence), loses a slot with every publish that raises, waits for one without a
    deadline, and turns the cancellation of a waiting task into an ordinary error.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(_WINDOW)
        self._batches = asyncio.Semaphore(_BATCHES)
        self._taking = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._tokens = itertools.count()
        self._inbox = client.new_inbox()

    async def start(self) -> None:
        """Listen for acknowledgements."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_acknowledgement)

    async def send(self, entries: Sequence[Entry]) -> Failed:
        """Publish all in order; return the ids that were not confirmed, with the reason."""
        failed: Failed = {}
        for start in range(0, len(entries), _WINDOW):
            failed.update(await self._window(entries[start : start + _WINDOW]))
        return failed

    async def _window(self, entries: Sequence[Entry]) -> Failed:
        """Publish, and again under the same ids what gets no answer, until time is up."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + PUBLISH_TIMEOUT
        if self._may_go_together(entries) and await self._together(entries, deadline):
            return {}
        failed = await self._round(entries, deadline)
        while clock() < deadline:
            silent = [e for e in entries if isinstance(failed.get(e.id), _NOBODY_ANSWERS)]
            if not silent:
                break
            await asyncio.sleep(_PAUSE)
            for entry in silent:
                del failed[entry.id]
            failed.update(await self._round(silent, deadline))
        return failed

    def _may_go_together(self, entries: Sequence[Entry]) -> bool:
        """One stream, no id twice (it would refuse the whole batch), nothing oversized."""
        if len(entries) < _TOGETHER_FROM or not self._client.is_connected:
            return False
        streams = {stream_of(subject) for subject in {entry.subject for entry in entries}}
        ids = {entry.id for entry in entries}
        return (
            len(streams) == 1
            and None not in streams
            and len(ids) == len(entries)
            and all(self._fits(entry) for entry in entries)
        )

    def _fits(self, entry: Entry) -> bool:
        limit = self._client.max_payload
        return (
            len(entry.body) + _HEADERS_ROOM <= limit
            or size_on_wire(entry.body, entry.headers) <= limit
        )

    async def _together(self, entries: Sequence[Entry], deadline: float) -> bool:
        """Publish as one atomic batch; False if it was refused or not answered soon."""
        batch_id = uuid.uuid4().hex
        try:
            frames = [
                frame(entry, f"Nats-Batch-Id: {batch_id}\r\nNats-Batch-Sequence: {number}\r\n")
                for number, entry in enumerate(entries[:-1], start=1)
            ]
        except ValueError:  # one by one nats-py takes the line end out
            return False
        commit = {
            "Nats-Batch-Id": batch_id,
            "Nats-Batch-Sequence": str(len(entries)),
            "Nats-Batch-Commit": "1",
        }
        async with self._batches:
            try:
                async with self._room(len(entries) - 1, deadline):
                    await write(self._client, frames)
                    last = entries[-1]._replace(headers={**entries[-1].headers, **commit})
                    future = await self._publish(last, deadline)
                    await asyncio.wait([future], timeout=_RESEND_AFTER)
            except (TimeoutError, NatsError, OSError):
                return False
            return _failure(future) is None

    @contextlib.asynccontextmanager
    async def _room(self, count: int, deadline: float) -> AsyncIterator[None]:
        """`count` slots, taken by one at a time: two that wait for each other's would wait for ever."""
        taken = 0
        try:
            async with asyncio.timeout_at(deadline), self._taking:
                while taken < count:
                    await self._slots.acquire()
                    taken += 1
            yield
        finally:
            for _ in range(taken):
                self._slots.release()

    async def _round(self, entries: Sequence[Entry], deadline: float) -> Failed:
        # While disconnected nothing is handed to the client: it would pile up in its buffer, once
        # for every try.
        if not await self._connected(deadline):
            return {entry.id: ConnectionClosedError() for entry in entries}
        failed: Failed = {}
        futures: list[tuple[str, asyncio.Future[None]]] = []
        for entry in entries:
            try:
                futures.append((entry.id, await self._publish(entry, deadline)))
            except (TimeoutError, NatsError, OSError) as error:
                failed[entry.id] = error
        if futures:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            await asyncio.wait([f for _, f in futures], timeout=min(left, _RESEND_AFTER))
        failed.update((id_, why) for id_, future in futures if (why := _failure(future)))
        return failed

    async def _publish(self, entry: Entry, deadline: float) -> asyncio.Future[None]:
        if not self._fits(entry):
            raise MaxPayloadError
        async with asyncio.timeout_at(deadline if self._slots.locked() else None):
            await self._slots.acquire()
        token = str(next(self._tokens))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: self._done(token))
        self._waiting[token] = future
        try:
            await self._client.publish(
                entry.subject, entry.body, f"{self._inbox}.{token}", entry.headers
            )
        except BaseException:
            future.cancel()
            raise
        return future

    def _done(self, token: str) -> None:
        del self._waiting[token]
        self._slots.release()

    async def _on_acknowledgement(self, message: Msg) -> None:
        future = self._waiting.get(message.subject.rpartition(".")[2])
        if future is None or future.done():
            return
        why = _refusal(message)
        if why is None:
            future.set_result(None)
        else:
            future.set_exception(why)

    async def _connected(self, deadline: float) -> bool:
        while not self._client.is_connected:
            if self._client.is_closed or asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(_POLL)
        return True


def _refusal(message: Msg) -> Exception | None:
    """What the acknowledgement says against it, or None."""
    if (message.headers or {}).get("Status") == "503":
        return NoStreamResponseError()
    try:
        answer = json.loads(message.data)
        if "error" in answer:
            APIError.from_error(answer["error"])  # raises
        return None if "stream" in answer else ValueError(f"no PubAck: {answer}")
    except (ValueError, APIError) as error:
        return error


def _failure(future: asyncio.Future[None]) -> BaseException | None:
    """Why it was not confirmed, or None."""
    if not future.done():
        future.cancel()  # gives the slot back; a later try has the same id
        return TimeoutError("no PubAck")
    return asyncio.CancelledError() if future.cancelled() else future.exception()
