"""`postfleet up`: the whole platform on this machine until Ctrl-C."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from postfleet_cli import plan, ports
from postfleet_cli.child import Say
from postfleet_cli.datadir import DataDir, Keys, check_addresses
from postfleet_cli.exits import ExitCode
from postfleet_cli.plan import Options
from postfleet_cli.supervisor import Supervisor


def up(
    demo: Annotated[
        bool, typer.Option("--demo", help="Run a campaign in a simulated mail world, and watch.")
    ] = False,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Where everything is kept, the keys included.")
    ] = Path(".postfleet"),
    http_port: Annotated[int, typer.Option(min=1, max=65_535, help="API and dashboard.")] = 8080,
    smtp_port: Annotated[int, typer.Option(min=1, max=65_535, help="SMTP relay-in.")] = 2587,
    nats_port: Annotated[
        int, typer.Option(min=1, max=65_535, help="Embedded NATS; unused with NATS_URL.")
    ] = 4222,
    mongo_port: Annotated[
        int, typer.Option(min=1, max=65_535, help="Embedded database; unused with MONGODB_URL.")
    ] = 27017,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Run the simulated mail world, but seed nothing.")
    ] = False,
) -> None:
    """Start the whole platform on this machine: NATS, a database, five services, one address.

    MASTER_KEY and POSTFLEET_API_KEY are read from the environment, else from DIR, else made and
    kept in DIR: back the master key up apart from the data. NATS_URL and MONGODB_URL name servers
    to use instead of the embedded ones. Ctrl-C drains and ends everything; starting again on the
    same DIR goes on where it stopped.
    """
    options = Options(data, demo, sandbox, http_port, smtp_port, nats_port, mongo_port)
    directory = DataDir(options.data)
    directory.open()
    try:
        keys = directory.keys(os.environ)
        check_addresses(os.environ)
        ports.check(plan.port_uses(options, os.environ))
        raise typer.Exit(asyncio.run(_run(options, directory, keys, os.environ)))
    finally:
        directory.close()


async def _run(options: Options, data: DataDir, keys: Keys, environ: Mapping[str, str]) -> int:
    console = Console(highlight=False)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    where = plan.addresses(options, environ)
    supervisor = Supervisor(options, data, keys, where, environ, say)
    stop = _stop_event(supervisor, say)
    work = asyncio.create_task(_work(supervisor, options, console))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()  # raises what made it impossible to start
            await stopped
    finally:
        stopped.cancel()
        work.cancel()
        await asyncio.gather(work, stopped, return_exceptions=True)
        say("draining: finishing what is in flight, then everything ends")
        await supervisor.drain()
    say(f"stopped; the data is in {data.path}")
    return ExitCode.OK


def _stop_event(supervisor: Supervisor, say: Say) -> asyncio.Event:
    """Set by the first Ctrl-C or SIGTERM; the second one kills."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            say("killing what is left")
            supervisor.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop


async def _work(supervisor: Supervisor, options: Options, console: Console) -> None:
    started = time.monotonic()
    await supervisor.start()
    await supervisor.until_ready()
    where, keys = supervisor.where, supervisor.keys
    console.print(f"[bold green]Postfleet is ready[/] after {time.monotonic() - started:.1f} s")
    console.print(f"  dashboard  {where.url}/", soft_wrap=True)
    console.print(
        f"  API key    {keys.api_key}  (from {keys.api_key_from})", soft_wrap=True, markup=False
    )
    console.print(f"  API        {where.url}/docs", soft_wrap=True)
    console.print(f"  logs       {supervisor.data.logs}", soft_wrap=True, markup=False)
    console.print("  Ctrl-C drains and ends everything")
    if options.demo:
        from postfleet_cli.demo import run as run_demo

        said = json.loads((supervisor.data.sandbox / "sandbox.json").read_text())
        control = f"http://{ports.HOST}:{said['control_port']}"
        await run_demo(where.url, keys.api_key, control, console)
