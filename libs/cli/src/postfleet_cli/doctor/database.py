"""MongoDB: reachable, durable, and the indexes that the services' queries live from."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from pymongo.errors import PyMongoError

from postfleet import shapes
from postfleet.mongo import database_name, operators_client
from postfleet_cli.doctor.findings import Finding, ok, skipped, trouble, warning
from postfleet_cli.doctor.indexes import INDEXES

_TIMEOUT_MS = 3000
_RESTART = "restart the service: it makes its indexes at the start"


async def look(url: str, prefix: str = "", *, embedded: bool) -> tuple[list[Finding], float | None]:
    """Everything about the database; and by how many seconds its clock is ahead of ours."""
    client = operators_client(url, timeout_ms=_TIMEOUT_MS)
    try:
        sent = time.time()
        hello = await client.admin.command("hello")
        arrived = time.time()
    except PyMongoError as error:
        remedy = "start it (`postfleet up`, `docker compose up mongo`), or set MONGODB_URL"
        return [trouble("MongoDB", f"does not answer: {type(error).__name__}", remedy)], None
    else:
        findings = [_server(hello, embedded=embedded)]
        findings += await asyncio.gather(
            *(_indexes(client, service, prefix) for service in INDEXES),
            *(_shape(client, service, prefix) for service in INDEXES),
        )
        return findings, _ahead(hello, sent, arrived)
    finally:
        client.close()


def _server(hello: Mapping[str, Any], *, embedded: bool) -> Finding:
    if embedded:
        return ok("MongoDB", "the embedded one of this machine answers")
    if not hello.get("setName") and hello.get("msg") != "isdbgrid":
        remedy = "make it a replica set (one member is enough for journaled majority writes)"
        return warning("MongoDB", "answers, but is no replica set", remedy)
    return ok("MongoDB", f"replica set {hello.get('setName', 'behind mongos')} answers")


def _ahead(hello: Mapping[str, Any], sent: float, arrived: float) -> float | None:
    theirs = hello.get("localTime")
    if theirs is None:
        return None
    return float(theirs.replace(tzinfo=UTC).timestamp() - (sent + arrived) / 2)


async def _indexes(client: Any, service: str, prefix: str) -> Finding:
    check = f"indexes of {service}"
    database = client[database_name(service, prefix)]
    missing = []
    try:
        there = set(await database.list_collection_names())
        for name, fields in INDEXES[service].items():
            if name in there:
                missing += await _missing(database[name], fields)
    except PyMongoError as error:
        return skipped(check, f"this user may not look: {type(error).__name__}")
    if not there:
        return skipped(check, "the service has never started on this database")
    if missing:
        return trouble(check, f"missing: {', '.join(missing)}", _RESTART)
    return ok(
        check, f"{sum(len(INDEXES[service][n]) for n in there if n in INDEXES[service])} there"
    )


async def _shape(client: Any, service: str, prefix: str) -> Finding:
    check = f"shape of {service}"
    try:
        found = await shapes.standing(client[database_name(service, prefix)], service)
    except PyMongoError as error:
        return skipped(check, f"this user may not look: {type(error).__name__}")
    if found.missing:
        return trouble(check, f"{found.version} of {found.wanted}", "run `postfleet migrate --yes`")
    if found.version != found.wanted:
        remedy = "run the version that wrote it or a newer one, or restore a backup"
        return trouble(check, f"{found.version or 'unknown'}, not {found.wanted}", remedy)
    return ok(check, f"{found.version}, as this version works on")


async def _missing(collection: Any, fields: tuple[str, ...]) -> list[str]:
    found = set()
    async for index in collection.list_indexes():
        found.add(",".join(index["key"]))
    return [f"{collection.name}.{field}" for field in fields if field not in found]
