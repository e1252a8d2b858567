"""`postfleet simulate`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console


def simulate(
    senders: Annotated[int, typer.Option(min=1, max=10_000)] = 500,
    leads: Annotated[int, typer.Option(min=1, max=2_000_000)] = 200_000,
    days: Annotated[int, typer.Option(min=1, max=365)] = 30,
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.")] = 1,
    scenario: Annotated[
        str,
        typer.Option(help="What goes wrong, with commas; an empty text: nothing."),
    ] = "greylisting,throttling,late-dsn,out-of-office,credential-expiry",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write report.json and report.svg there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fly campaigns in virtual time: the same planner and rules against simulated providers.

    Ends with exit code 1 if any limit was violated.
    """
    try:
        from postfleet_cli.simulate.flight import Flight
        from postfleet_cli.simulate.options import Options, scenarios
        from postfleet_cli.simulate.report import report, to_json
    except ImportError as error:
        raise Refused(
            ExitCode.UNAVAILABLE,
            f"simulate needs the packages of dispatcher and sender-registry beside it: {error}",
        ) from error
    try:
        wanted = scenarios(scenario)
    except ValueError as error:
        raise Refused(ExitCode.USAGE, f"--scenario: {error}") from error
    started = time.perf_counter()
    flight = Flight(Options(senders, leads, days, seed, wanted))
    flight.fly()
    found = report(flight)
    text = to_json(found)
    if as_json:
        print(text, end="")
    else:
        console.print(
            f"{found['mails_accepted']} mails accepted of {found['attempts']} attempts in {days} "
            f"days, simulated in {time.perf_counter() - started:.0f} s; "
            f"limits violated: {found['violations']}",
            markup=False,
        )
    if out is not None:
        _write(found, text, out)
    if found["violations"]:
        broken = [f"{rule}: {n}" for rule, n in found["violations_by_rule"].items() if n]
        raise Refused(ExitCode.REFUSED, "limits were violated", *broken)


def _write(found: dict[str, object], text: str, out: Path) -> None:
    from postfleet_cli.simulate.plot import NoPlot, draw

    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(text)
    except OSError as error:
        raise Refused(ExitCode.CANNOT_CREATE, f"{out} cannot be written: {error}") from error
    try:
        draw(found, out / "report.svg")
    except NoPlot as error:
        console.print(f"no picture: {error}", markup=False)
