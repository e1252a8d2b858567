"""`postfleet senders import`: many mailboxes from a CSV file, validated side by side."""

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_json

_NUMBERS = ("smtp_port", "imap_port", "daily_limit", "monthly_limit", "account_age_days")
_SWITCHES = ("smtp_use_tls", "imap_use_ssl", "warmup_mode")
_LISTS = ("tags", "access_methods", "allowed_ips")
_TRUE = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Row:
    """One line's outcome; `line` counts the header as the first."""

    line: int
    address: str
    ok: bool
    detail: str


def add_to(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("import")(import_senders)


def import_senders(
    file: Annotated[Path, typer.Argument(help="CSV; its header names the fields of the API.")],
    parallel: Annotated[int, typer.Option(min=1, max=100, help="Log-ins tested at once.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Register every mailbox of a CSV file whose log-ins work, and report on each line.

    Columns: email_address, smtp_password, and any other field of `POST /sender-accounts`; several
    tags, access_methods or allowed_ips are separated by semicolons. It may be run again: what is
    registered already is reported and left alone.
    """
    rows = list(read(file))
    api = Api.from_environment()
    results = sorted(_register(api, rows, parallel), key=lambda row: row.line)
    if as_json:
        print_json([vars(row) for row in results])
    else:
        for row in results:
            console.print(f"line {row.line}: {row.address}: {row.detail}", markup=False)
        console.print(f"{sum(row.ok for row in results)} of {len(results)} are registered")
    if not all(row.ok for row in results):
        raise typer.Exit(ExitCode.REFUSED)


def read(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line's number and request. Raises Refused for what is no such file."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if "email_address" not in (reader.fieldnames or ()):
                raise Refused(ExitCode.USAGE, f"{file}: the header names no email_address")
            for line in reader:
                if None in line:
                    raise Refused(ExitCode.USAGE, f"{file}: line {reader.line_num} is too long")
                yield reader.line_num, {k: _typed(k, v) for k, v in line.items() if v}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(ExitCode.USAGE, f"{file}: {error}") from error


def _typed(name: str, value: str) -> Any:
    """As JSON has it; what does not fit is left to the platform to refuse by its name."""
    if name in _NUMBERS and value.isdecimal():
        return int(value)
    if name in _SWITCHES:
        return _TRUE.get(value.lower(), value)
    if name in _LISTS:
        return [part.strip() for part in value.split(";")]
    return value


def _register(api: Api, rows: list[tuple[int, dict[str, Any]]], parallel: int) -> Iterator[Row]:
    with ThreadPoolExecutor(parallel) as pool:
        running = [pool.submit(_one, api.call, line, request) for line, request in rows]
        bar = Console(stderr=True)  # so that the report can be piped
        finished = as_completed(running)
        for done in track(finished, "validating", total=len(running), console=bar, transient=True):
            yield done.result()


def _one(call: Callable[..., Any], line: int, request: dict[str, Any]) -> Row:
    address = str(request.get("email_address", ""))
    try:
        sender = call("POST", "/sender-accounts", json=request)
    except Refused as refusal:
        return Row(line, address, False, "; ".join(part.strip() for part in refusal.lines))
    reason = f" ({sender['status_reason']})" if sender.get("status_reason") else ""
    return Row(line, address, True, f"{sender['status']}{reason}")
