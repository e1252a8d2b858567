"""`postfleet bus`: streams and durables as the code declares them, and a state made again."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from postfleet.reconcile import Touched
from postfleet.topology import Durable
from postfleet_cli import bus_apply, bus_rebuild
from postfleet_cli.output import AsJson, console, print_json

app = typer.Typer(no_args_is_help=True, help="Streams and durable consumers on NATS.")


@app.command()
def apply(
    replicas: Annotated[
        int, typer.Option(min=1, max=5, help="Copies of every stream: 3 in a cluster of three.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Make NATS have the streams and durables that this version declares; safe to repeat.

    With --json: {"touched": [{"kind", "name", "change"}]}; `change` is created, updated, deleted,
    or applied.
    """
    touched = asyncio.run(_apply(replicas))
    if as_json:
        print_json({"touched": [asdict(one) for one in touched]})
        return
    for one in touched:
        console.print(str(one), markup=False)


@app.command()
def rebuild(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A service (tracker) or one durable of it.")
    ],
    as_json: AsJson = False,
) -> None:
    """Let a service hear everything again that the stream keeps (30 days).

    Into an empty database this makes its state again; a state that is there stays as it
    is, for every event is applied once. To rebuild: stop the service, drop its database, run this,
    start the service. With --json: {"rebuilt": [{"durable", "events"}]}.
    """
    rebuilt = asyncio.run(_rebuild(bus_rebuild.chosen(name)))
    if as_json:
        print_json({"rebuilt": [{"durable": name, "events": n} for name, n in rebuilt.items()]})
        return
    for durable, events in rebuilt.items():
        console.print(f"{durable} hears {events} events again", markup=False)


async def _apply(replicas: int) -> list[Touched]:
    async with bus_apply.connection(patience_s=30) as client:
        return await bus_apply.apply(client, replicas)


async def _rebuild(durables: list[Durable]) -> dict[str, int]:
    async with bus_apply.connection() as client:
        return {one.name: await bus_rebuild.rebuild(client, one) for one in durables}
