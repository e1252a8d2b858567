"""Request and reply between services: a question with a deadline, no event."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from faststream.nats.annotations import NatsMessage
from nats.errors import Error as NatsError

from postfleet.connection import Connection
from postfleet.outages import Unavailable

log = logging.getLogger(__name__)

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class RequestRefused(Exception):
    """The other side answered with an error; its text says why."""


class Rpc:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def answer(self, subject: str, handler: Answer) -> None:
        """Answer requests on `subject`; replicas share them. An exception is an `error` reply."""

        async def reply(message: NatsMessage) -> dict[str, Any]:
            try:
                return await handler(orjson.loads(message.body))
            except RequestRefused as refusal:
                return {"error": str(refusal)}
            except Exception:
                log.exception("%s failed", subject)
                return {"error": "internal error"}

        queue = self._connection.service
        self._connection.broker.subscriber(subject, queue=queue, title=subject)(reply)

    async def request(self, subject: str, body: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Ask; raises Unavailable when nobody answers in time, RequestRefused on an error reply."""
        client = self._connection.client
        try:
            message = await client.request(subject, orjson.dumps(body), timeout=timeout)
        except (TimeoutError, NatsError) as error:
            raise Unavailable(f"{subject}: {str(error) or 'no answer'}") from error
        answer: dict[str, Any] = orjson.loads(message.data)
        if "error" in answer:
            raise RequestRefused(answer["error"])
        return answer
