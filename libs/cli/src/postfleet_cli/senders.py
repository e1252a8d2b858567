"""`postfleet senders`: the mailboxes of the fleet."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from postfleet_cli import sender_commands_import, sender_commands_state
from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(no_args_is_help=True, help="The mailboxes that mail is sent through.")


@app.command()
def add(
    email: Annotated[
        str | None,
        typer.Argument(help="The mailbox's address, also the log-in by default; asked if missing."),
    ] = None,
    inbox_type: Annotated[
        str | None,
        typer.Option(
            help="GOOGLE_WORKSPACE, OUTLOOK_365, … know their servers; found out if it is missing."
        ),
    ] = None,
    display_name: Annotated[str | None, typer.Option(help="As recipients see it.")] = None,
    smtp_host: Annotated[str | None, typer.Option(help="Submission server.")] = None,
    smtp_port: Annotated[
        int | None, typer.Option(help="587 is STARTTLS, 465 is TLS from the first byte.")
    ] = None,
    smtp_username: Annotated[str | None, typer.Option(help="If it is not the address.")] = None,
    imap_host: Annotated[
        str | None, typer.Option(help="Where replies arrive; without it none are detected.")
    ] = None,
    imap_port: Annotated[int | None, typer.Option(help="Usually 993.")] = None,
    imap_username: Annotated[str | None, typer.Option(help="If it is not the address.")] = None,
    daily_limit: Annotated[int | None, typer.Option(help="Mails a day at most.")] = None,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="POSTFLEET_SENDER_PASSWORD",
            help="For SMTP and IMAP; asked for if it is missing, read from a pipe if there is one.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register a mailbox. Its log-ins are tried first; if SMTP fails, nothing is stored.

    Example: postfleet senders add me@example.org --smtp-host mail.example.org --smtp-port 587
    --imap-host mail.example.org --imap-port 993. Use an app password, not your main one.
    """
    api = Api.from_environment()
    email = email or typer.prompt("E-mail address")
    found = {} if smtp_host or inbox_type else _discover(api, str(email))
    inbox_type = inbox_type or found.get("inbox_type", "CUSTOM_SMTP")
    secret = password or _ask_password()
    with_imap = imap_host or found.get("imap_host") or inbox_type != "CUSTOM_SMTP"
    body: dict[str, Any] = {
        "email_address": email,
        "display_name": display_name,
        "inbox_type": inbox_type,
        "daily_limit": daily_limit,
        "smtp_host": smtp_host or found.get("smtp_host"),
        "smtp_port": smtp_port or found.get("smtp_port"),
        "smtp_username": smtp_username or found.get("smtp_username"),
        "smtp_password": secret,
        "imap_host": imap_host or found.get("imap_host"),
        "imap_port": imap_port or found.get("imap_port"),
        "imap_username": imap_username or found.get("imap_username"),
        "imap_password": secret if with_imap else None,
    }
    given = {name: value for name, value in body.items() if value is not None}
    sender = api.call("POST", "/sender-accounts", json=given)
    if as_json:
        print_json(sender)
    else:
        print_document(sender)


@app.command("list")
def list_senders(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the senders: status, health, and what they may send today."""
    senders = list(Api.from_environment().items("/sender-accounts", limit))
    if as_json:
        print_json(senders)
        return
    address = Column("address", no_wrap=True)
    wrapped = Column("id", overflow="fold")  # in 80 columns the address is what must be read
    table = Table(address, "status", "health", "sent today", "limit today", wrapped)
    for s in senders:
        names = ("email_address", "status", "health", "sent_today", "effective_limit", "id")
        table.add_row(*(str(s.get(name, "")) for name in names))
    console.print(table if senders else "no senders yet: `postfleet senders add --help`")


def _discover(api: Api, email: str) -> dict[str, Any]:
    """What the address's servers are, told to whoever types; {} where nobody knows."""
    found: dict[str, Any] = api.call(
        "POST", "/sender-accounts/discover", json={"email_address": email}
    )
    told = Console(stderr=True, highlight=False)  # the answer alone is on standard output
    if not found.get("smtp_host"):
        raise Refused(
            ExitCode.USAGE,
            f"nobody tells where {email} has its servers: give --smtp-host, or --inbox-type",
            *filter(None, [found.get("problem")]),
        )
    servers = [
        f"{found[f'{name}_host']}:{found[f'{name}_port']}"
        for name in ("smtp", "imap")
        if found.get(f"{name}_host")
    ]
    told.print(f"found by {found['found_by']}: {', '.join(servers)}", markup=False)
    preset = found["preset"]
    for line in (*preset["guide"], preset["note"] or "", preset["hint"]):
        if line:
            told.print(f"  {line}", markup=False)
    return found


def _ask_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = typer.prompt("Password", hide_input=True)
    return answer


sender_commands_state.add_to(app)
sender_commands_import.add_to(app)
