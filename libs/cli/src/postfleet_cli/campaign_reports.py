"""`postfleet campaigns stats`, `plan`, `preview`: how far it is, what will be, what it looks like."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.output import AsJson, console, print_document, print_json

Id = Annotated[str, typer.Argument(metavar="ID", help="As `campaigns list` shows it.")]
_FIGURES = ("sent", "opened", "clicked", "replied", "bounced")


def stats(campaign: Id, as_json: AsJson = False) -> None:
    """Show how far it is and what came back, for each step and variant; opens are of people."""
    found = Api.from_environment().call("GET", f"/campaigns/{campaign}/stats")
    if as_json:
        print_json(found)
        return
    for name in ("status", "leads", "deliveries"):
        value = found.get(name)
        text = ", ".join(f"{n} {k}" for k, n in value.items()) if isinstance(value, dict) else value
        console.print(f"{name}: {text or 'none'}", markup=False, soft_wrap=True)
    if found.get("steps"):
        console.print(_steps(found["steps"]))
    for step in found.get("steps", []):
        if step.get("winner"):
            line = f"step {step['step']}: variant {step['winner']} has won and goes to everybody"
            console.print(line, markup=False)


def _steps(steps: list[dict[str, Any]]) -> Table:
    right: Any = {"justify": "right"}
    columns = [Column(name, **right) for name in (*_FIGURES, "passed over")]
    variant = Column("variant", overflow="fold")
    table = Table(Column("step", **right), variant, *columns, box=SIMPLE_HEAD, pad_edge=False)
    for step in steps:
        for place, variant in enumerate(step["variants"]):
            name = escape(variant["name"])
            figures = [_share(variant, figure) for figure in _FIGURES]
            skipped = "" if place else str(step["skipped_by_condition"])
            table.add_row("" if place else str(step["step"]), name, *figures, skipped)
    return table


def _share(variant: Mapping[str, Any], figure: str) -> str:
    count, sent = variant[figure], variant["sent"]
    if figure == "sent" or not sent:
        return str(count)
    return f"{count} {count / sent:.0%}"


Lead = Annotated[
    str | None, typer.Option(help="As this address would get it; without it, the first lead.")
]
Step = Annotated[int, typer.Option(min=0, help="The step's number; the first is 0.")]
Variant = Annotated[str | None, typer.Option(help="Without it, the one the lead would get.")]


def preview(
    campaign: Id,
    lead: Lead = None,
    step: Step = 0,
    variant: Variant = None,
    source: Annotated[
        bool, typer.Option("--source", help="The whole message, as it travels.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a mail as a lead would get it: header fields, then the text; nothing is sent."""
    params = {"step": step, **_given(lead=lead, variant=variant)}
    found = Api.from_environment().call("GET", f"/campaigns/{campaign}/preview", params=params)
    if as_json:
        print_json(found)
    elif source:
        print(found["message"])
    else:
        for line in _mail(found):
            console.print(line, markup=False, soft_wrap=True)


def _mail(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"step {found['step']}, variant {found['variant']}"
    for name, value in found["headers"].items():
        yield f"{name}: {value}"
    for file in found.get("attachments", []):
        yield f"attached: {file['filename']}"
    yield ""
    yield found.get("text") or found.get("html") or ""


def try_out(
    campaign: Id,
    to: Annotated[str, typer.Option(help="Your own address.")],
    lead: Lead = None,
    step: Step = 0,
    variant: Variant = None,
    as_json: AsJson = False,
) -> None:
    """Send a step's mail to yourself; neither leads nor figures know of it."""
    body = {"to": to, "step": step, **_given(lead=lead, variant=variant)}
    sent = Api.from_environment().call("POST", f"/campaigns/{campaign}/test-send", json=body)
    if as_json:
        print_json(sent)
    else:
        print_document(sent)


def _given(**values: str | None) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
