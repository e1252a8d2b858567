"""`postfleet templates`: texts of mails of their own, kept under a name."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(
    no_args_is_help=True,
    help="Texts that `postfleet send --template` and POST /messages fill with data.",
)

Id = Annotated[str, typer.Argument(metavar="ID")]
Version = Annotated[int | None, typer.Option(min=1, help="An older version; else the newest.")]
Data = Annotated[
    list[str] | None, typer.Option("--data", metavar="NAME=VALUE", help="A value; repeat it.")
]
_TEXT = typer.Option(help="A file with the text.", exists=True, dir_okay=False)
_HTML = typer.Option(help="A file with the HTML part.", exists=True, dir_okay=False)


def data_of(pairs: list[str] | None) -> dict[str, str]:
    """`name=value`, as often as given."""
    data = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise Refused(ExitCode.USAGE, f"--data {pair!r}: write it as name=value")
        data[name.strip()] = value
    return data


@app.command("list")
def list_templates(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the templates there are, and the fields that each needs."""
    found = list(Api.from_environment().items("/templates", limit))
    if as_json:
        print_json(found)
        return
    table = Table(Column("id", no_wrap=True), "version", "name", "subject", "fields")
    for one in found:
        fields = ", ".join(one["fields"])
        table.add_row(one["id"], str(one["version"]), one["name"], one["subject"], fields)
    console.print(
        table if found else "there is no template; `postfleet templates create` keeps one"
    )


@app.command()
def show(template: Id, version: Version = None, as_json: AsJson = False) -> None:
    """Show a template with its texts."""
    params = {"version": version} if version else {}
    found = Api.from_environment().call("GET", f"/templates/{template}", params=params)
    print_json(found) if as_json else print_document(found)


@app.command()
def create(
    template: Id,
    subject: Annotated[str, typer.Option(help="The subject line.")],
    name: Annotated[str | None, typer.Option(help="What it is for; else the id.")] = None,
    text: Annotated[Path | None, _TEXT] = None,
    html: Annotated[Path | None, _HTML] = None,
    as_json: AsJson = False,
) -> None:
    """Keep a template. Its texts are Liquid: Dear {{ name | default: "friend" }}."""
    body = {"id": template, "name": name or template, **_texts(subject, text, html)}
    _print(Api.from_environment().call("POST", "/templates", json=body), as_json)


@app.command()
def change(
    template: Id,
    subject: Annotated[str | None, typer.Option(help="The subject line.")] = None,
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    text: Annotated[Path | None, _TEXT] = None,
    html: Annotated[Path | None, _HTML] = None,
    as_json: AsJson = False,
) -> None:
    """Make a template's next version; what is left out stays as it was."""
    body = _texts(subject, text, html) | ({"name": name} if name else {})
    _print(Api.from_environment().call("PATCH", f"/templates/{template}", json=body), as_json)


def _texts(subject: str | None, text: Path | None, html: Path | None) -> dict[str, str]:
    body = {"subject": subject} if subject is not None else {}
    body |= {"text": text.read_text()} if text else {}
    return body | ({"html": html.read_text()} if html else {})


def _print(saved: Any, as_json: bool) -> None:
    if as_json:
        print_json(saved)
    else:
        fields = ", ".join(saved["fields"]) or "none"
        console.print(f"{saved['id']} version {saved['version']}; fields: {fields}", markup=False)


@app.command()
def preview(
    template: Id, data: Data = None, version: Version = None, as_json: AsJson = False
) -> None:
    """Show the texts as a mail with this data would have them. Nothing is sent."""
    params = {"version": version} if version else {}
    shown = Api.from_environment().call(
        "POST", f"/templates/{template}/preview", json={"data": data_of(data)}, params=params
    )
    print_json(shown) if as_json else print_document(shown)


@app.command()
def delete(template: Id, as_json: AsJson = False) -> None:
    """Delete a template and all of its versions; mails that were taken in keep their texts."""
    Api.from_environment().call("DELETE", f"/templates/{template}")
    if as_json:
        print_json({"id": template, "deleted": True})
        return
    console.print(f"deleted {template}", markup=False)
