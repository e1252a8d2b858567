"""`postfleet bus apply`: streams and durables as the code declares them.

`postfleet up` starts its programs before it imports what speaks to NATS.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from postfleet.tls import tls_options
from postfleet_cli.exits import ExitCode, Refused

if TYPE_CHECKING:
    from nats.aio.client import Client

    from postfleet import reconcile

DEFAULT_URL = "nats://127.0.0.1:4222"


@asynccontextmanager
async def connection(
    environ: Mapping[str, str] = os.environ, *, patience_s: float = 0, url: str | None = None
) -> AsyncIterator["Client"]:
    """A connection to NATS_URL as NATS_USER. Raises Refused if it does not answer in time."""
    url = url or environ.get("NATS_URL") or DEFAULT_URL
    user = environ.get("NATS_USER")
    # Inboxes are private to a user: the server's permissions name this prefix.
    options: dict[str, Any] = {"inbox_prefix": f"_INBOX_{user}".encode()} if user else {}
    if user:
        options |= {"user": user, "password": environ.get("NATS_PASSWORD")}
    options |= tls_options(url, environ.get("POSTFLEET_NATS_CA_FILE") or None)
    client = await _connected(url, patience_s, options)
    try:
        yield client
    finally:
        await client.close()


async def _connected(url: str, patience_s: float, options: dict[str, Any]) -> "Client":
    from nats.errors import Error as NatsError

    deadline = time.monotonic() + patience_s
    while True:
        causes: list[Exception] = []
        try:
            return await _connect_once(url, causes, options)
        except (OSError, TimeoutError, NatsError) as error:
            if time.monotonic() >= deadline:
                cause = causes[-1] if causes else error
                raise Refused(
                    ExitCode.UNAVAILABLE,
                    f"NATS at {url} does not answer: {str(cause) or type(cause).__name__}. "
                    "NATS_URL says where it is",
                ) from error
            await asyncio.sleep(0.1)


async def _connect_once(url: str, causes: list[Exception], options: dict[str, Any]) -> "Client":
    """The client tries each address twice (0 would mean for ever) and tells only `causes` why."""

    import nats

    async def note(error: Exception) -> None:
        causes.append(error)

    return await nats.connect(
        url.split(","),
        connect_timeout=5,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0.1,
        error_cb=note,
        **options,
    )


async def apply(client: "Client", replicas: int = 1) -> list["reconcile.Touched"]:
    """Make NATS look as declared; each thing that was touched."""
    from nats.errors import Error as NatsError

    from postfleet import reconcile

    try:
        return await reconcile.apply(client.jetstream(timeout=20), replicas=replicas)
    except (TimeoutError, NatsError) as error:
        raise Refused(
            ExitCode.UNAVAILABLE, f"NATS refused a stream or a durable: {error or 'no answer'}"
        ) from error
