"""JetStream's own snapshots of a stream, its messages under the numbers they had.

Numbers matter: consumers' states in the databases say how far they have read. The protocol is that
of `$JS.API.STREAM.SNAPSHOT` and `$JS.API.STREAM.RESTORE`, which the `nats` tool speaks too.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from postfleet_cli.exits import ExitCode, Refused

_CHUNK = 128 * 1024
_TIMEOUT = 30.0


async def save(client: Client, stream: str, folder: Path) -> int:
    """Write `<stream>.snapshot` and `<stream>.json`; returns how many messages it holds."""
    inbox = client.new_inbox()
    chunks = await client.subscribe(inbox, pending_bytes_limit=256 * 1024 * 1024)
    request = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": _CHUNK}
    try:
        answer = await _ask(client, f"$JS.API.STREAM.SNAPSHOT.{stream}", request)
        with (folder / f"{stream}.snapshot").open("wb") as file:
            while True:
                chunk = await chunks.next_msg(timeout=_TIMEOUT)
                if not chunk.data:
                    break
                file.write(chunk.data)
                if chunk.reply:  # it waits for this before it sends on
                    await client.publish(chunk.reply, b"")
    except (TimeoutError, NatsError) as error:
        raise _refused(f"does not give a snapshot of {stream}", error) from error
    finally:
        await chunks.unsubscribe()
    about = {"config": answer["config"], "state": answer["state"]}
    (folder / f"{stream}.json").write_text(json.dumps(about))
    return int(answer["state"]["messages"])


async def load(client: Client, stream: str, folder: Path) -> int:
    """Make the stream from its snapshot; returns how many messages it has."""
    about = json.loads((folder / f"{stream}.json").read_text())
    about["config"]["num_replicas"] = about["config"].get("num_replicas") or 1
    try:
        answer = await _ask(client, f"$JS.API.STREAM.RESTORE.{stream}", about)
        subject = answer["deliver_subject"]
        with (folder / f"{stream}.snapshot").open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                _checked(await client.request(subject, chunk, timeout=_TIMEOUT))
        done = _checked(await client.request(subject, b"", timeout=_TIMEOUT))
    except (TimeoutError, NatsError) as error:
        raise _refused(f"does not take the snapshot of {stream}", error) from error
    return int(done["state"]["messages"])


async def exists(client: Client, stream: str) -> bool:
    """Whether NATS has a stream of this name that holds or has held anything."""
    try:
        return (await client.jetstream(timeout=10).stream_info(stream)).state.last_seq > 0
    except NotFoundError:
        return False
    except (TimeoutError, NatsError) as error:
        raise _refused(f"does not tell of {stream}", error) from error


async def _ask(client: Client, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    return _checked(await client.request(subject, json.dumps(body).encode(), timeout=_TIMEOUT))


def _checked(message: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(message.data) if message.data else {}
    if problem := answer.get("error"):
        raise NatsError(problem.get("description", "refused"))
    return answer


def _refused(what: str, error: Exception) -> Refused:
    return Refused(ExitCode.UNAVAILABLE, f"NATS {what}: {error or 'no answer'}")
