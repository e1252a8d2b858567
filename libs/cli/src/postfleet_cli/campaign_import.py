"""`postfleet campaigns import`: a file of leads, streamed, with a bar that tells how far it is."""

import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_json

_CHUNK_BYTES = 65_536
_KINDS = {".csv": "text/csv", ".json": "application/json", ".ndjson": "application/x-ndjson"}


def import_leads(
    campaign: Annotated[str, typer.Argument(metavar="ID", help="As `campaigns list` shows it.")],
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(
            metavar="FILE",
            help="CSV with a header row and a column `email`; .json is a list of objects with it; "
            "- reads CSV from standard input.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Add leads; every other column can be used in the templates.

    Rows that cannot be used are told with number, field and reason; importing again adds nobody
    twice. The file is streamed: a million rows need no more memory than ten.
    """
    suffix = os.path.splitext(file.name)[1].lower()
    kind = _KINDS.get(suffix, "text/csv")
    size = _size(file)
    if size == 0:
        raise Refused(ExitCode.REFUSED, f"{file.name} is empty")
    with _bar() as bar:
        report = Api.from_environment().call(
            "POST",
            f"/campaigns/{campaign}/leads",
            content=_told(file, bar, size),
            headers={"Content-Type": kind},
        )
    if as_json:
        print_json(report)
        return
    console.print(import_summary(report), markup=False)
    for row in report.get("rows", []):
        line = f"row {row.get('row')}, {row.get('field')}: {row.get('reason')}"
        print(line, file=sys.stderr)
    if report.get("rows_truncated"):
        print("further unusable rows are not listed", file=sys.stderr)


def import_summary(report: dict[str, Any]) -> str:
    """One line about an import."""
    return (
        f"{report['imported']} leads imported, {report['duplicates']} duplicates and "
        f"{report['invalid']} unusable rows left out"
    )


def _bar() -> Progress:
    told = Console(stderr=True)
    columns = (TextColumn("sending leads"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=told, disable=not told.is_terminal, transient=True)


def _told(file: BinaryIO, bar: Progress, size: int | None) -> Iterator[bytes]:
    task = bar.add_task("leads", total=size)
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
        bar.advance(task, len(chunk))


def _size(file: BinaryIO) -> int | None:
    """In bytes; None for a pipe."""
    try:
        return os.fstat(file.fileno()).st_size if file.seekable() else None
    except OSError:
        return None
