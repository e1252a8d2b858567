"""`postfleet migrate`: the services' databases as this version wants them."""

import asyncio
import os
from typing import Annotated, Any

import typer
from pymongo.errors import PyMongoError

from postfleet import shapes
from postfleet.migrations import CannotMigrate
from postfleet.mongo import database_name, operators_client
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_json
from postfleet_cli.routes import SERVICES

_DEFAULT_URL = "mongodb://127.0.0.1:27017/"


def migrate(
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; otherwise it is only told. Back up first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the services' databases at MONGODB_URL to the shape that this version works on.

    The user of MONGODB_URL must be one who may write to all of them. Safe to repeat: what is done is
    not done again. Services of another shape wait, and go on by themselves afterwards. With --json:
    {"databases": [{"service", "version", "wanted", "steps", "changed"}]}; version 0 is unknown.
    """
    url = os.environ.get("MONGODB_URL") or _DEFAULT_URL
    try:
        told = asyncio.run(_migrated(url, os.environ.get("POSTFLEET_DATABASE_PREFIX", ""), yes=yes))
    except PyMongoError as error:
        raise Refused(
            ExitCode.UNAVAILABLE,
            f"MongoDB refuses or does not answer: {type(error).__name__}. MONGODB_URL says where it is",
        ) from error
    if as_json:
        print_json({"databases": told})
        return
    for one in told:
        console.print(_line(one, done=yes), markup=False, soft_wrap=True)


async def _migrated(url: str, prefix: str, *, yes: bool) -> list[dict[str, Any]]:
    """Looks at all before the first is touched."""
    client = operators_client(url)
    try:
        databases = {service: client[database_name(service, prefix)] for service in SERVICES}
        found = [await shapes.standing(database, name) for name, database in databases.items()]
        _check(found)
        return [await _one(databases[one.service], one, yes=yes) for one in found]
    finally:
        client.close()


def _check(found: list[shapes.Standing]) -> None:
    wrong = [one for one in found if shapes.is_newer(one) or not one.version]
    if wrong:
        raise Refused(
            ExitCode.REFUSED,
            *(
                f"the database of {one.service} has shape {one.version or 'unknown'}, this program "
                f"works on {one.wanted}: use the version that wrote it or a newer one"
                for one in wrong
            ),
            "nothing was changed",
        )


async def _one(database: Any, found: shapes.Standing, *, yes: bool) -> dict[str, Any]:
    changed = 0
    for version, step in enumerate(found.missing if yes else (), start=found.version + 1):
        try:
            changed += await step.run(database)
        except CannotMigrate as refusal:
            raise Refused(ExitCode.REFUSED, f"{found.service}: {refusal}") from None
        await shapes.write(database, version)
    return {
        "service": found.service,
        "version": found.version,
        "wanted": found.wanted,
        "steps": [step.what for step in found.missing],
        "changed": changed,
    }


def _line(one: dict[str, Any], *, done: bool) -> str:
    if not one["steps"]:
        return f"{one['service']}: shape {one['wanted']}, nothing to do"
    steps = f"shape {one['version']} to {one['wanted']} ({', '.join(one['steps'])})"
    return f"{one['service']}: {steps}" + (
        f", {one['changed']} documents changed" if done else "; --yes does it"
    )
