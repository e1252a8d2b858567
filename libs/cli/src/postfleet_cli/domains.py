"""`postfleet domains`: add, verify, publish, check and try out mail domains."""

import time
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.output import AsJson, console, print_document, print_json

app = typer.Typer(no_args_is_help=True, help="Mail domains: DNS records, checks, test mails.")

Name = Annotated[str, typer.Argument(metavar="DOMAIN", help="Such as example.org.")]
_COLOURS = {"ok": "green", "warn": "yellow", "bad": "red", "unknown": "dim"}


@app.command()
def add(
    name: Name,
    dmarc: Annotated[
        str, typer.Option(help="What receivers do with mail that fails: reject, quarantine, none.")
    ] = "reject",
    pct: Annotated[
        int | None, typer.Option(help="Published only if given: RFC 9989 dropped it.")
    ] = None,
    selector: Annotated[str | None, typer.Option(help="Of the DKIM key; dated by default.")] = None,
    sending_only: Annotated[
        bool, typer.Option("--sending-only", help="Another server receives the domain's mail.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Register a domain; then publish the TXT record shown, and `postfleet domains verify`."""
    body: dict[str, Any] = {
        "name": name,
        "dmarc": {"policy": dmarc, **({} if pct is None else {"pct": pct})},
        "mail": "sending" if sending_only else "full",
        **({"dkim_selector": selector} if selector else {}),
    }
    _print(Api.from_environment().call("POST", "/domains", json=body), as_json)


@app.command("list")
def list_domains(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the domains, and which checks were not green when last looked at."""
    found = list(Api.from_environment().items("/domains", limit))
    if as_json:
        print_json(found)
        return
    table = Table(Column("domain", no_wrap=True), "state", "mail", "not green", "last looked at")
    for domain in found:
        checks = domain.get("checks") or {}
        bad = [n for n, state in checks.items() if state in ("bad", "warn")]
        looked = str(domain.get("checked_at") or "never")
        table.add_row(domain["name"], domain["state"], domain["mail"], ", ".join(bad), looked)
    console.print(table if found else "no domains yet: `postfleet domains add --help`")


@app.command()
def verify(name: Name, as_json: AsJson = False) -> None:
    """Look for the TXT record that proves the domain is yours."""
    _print(Api.from_environment().call("POST", f"/domains/{name}/verify"), as_json)


@app.command()
def records(name: Name, as_json: AsJson = False) -> None:
    """Show the DNS records to publish, as lines of a zone file, and how each stands."""
    answer = Api.from_environment().call("GET", f"/domains/{name}/records")
    if as_json:
        print_json(answer)
        return
    for record in answer["records"]:
        console.print(f"; {record['purpose']}: {_standing(record)}", markup=False, soft_wrap=True)
        console.print(record["zone_line"], markup=False, soft_wrap=True)


@app.command()
def apply(name: Name, as_json: AsJson = False) -> None:
    """Publish the records by dynamic update; what others wrote there is left alone.

    Ends with 1 while a record is not in place.
    """
    answer = Api.from_environment().call("POST", f"/domains/{name}/apply")
    if as_json:
        print_json(answer)
    else:
        for record in answer["records"]:
            line = f"{record['purpose']}: {record['action']}, {_standing(record)}"
            console.print(line, markup=False, soft_wrap=True)
    if not answer["in_place"]:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("mta-sts")
def mta_sts(
    name: Name,
    mode: Annotated[str, typer.Argument(help="testing, enforce, none (takes it back) or off.")],
    as_json: AsJson = False,
) -> None:
    """Ask other servers for verified TLS (RFC 8461); then publish the records again."""
    _print(
        Api.from_environment().call("PATCH", f"/domains/{name}", json={"mta_sts": mode}), as_json
    )


@app.command()
def masquerading(
    name: Name,
    on: Annotated[bool, typer.Option("--on/--off", help="Any name of the domain, or one's own.")],
    as_json: AsJson = False,
) -> None:
    """Whether each mailbox may send under any name of the domain (off at first)."""
    changed = Api.from_environment().call("PATCH", f"/domains/{name}", json={"masquerading": on})
    _print(changed, as_json)


@app.command()
def check(name: Name, as_json: AsJson = False) -> None:
    """Look at port 25, PTR, DNSBL, MX, SPF, DKIM, DMARC, TLS; ends with 1 if one is bad."""
    answer = Api.from_environment().call("GET", f"/domains/{name}/checks")
    if as_json:
        print_json(answer)
    else:
        _print_checks(answer)
    if answer["state"] == "bad":
        raise typer.Exit(ExitCode.REFUSED)


@app.command("test-email")
def send_test(
    name: Name,
    to: Annotated[
        list[str], typer.Option("--to", help="Two at least: one provider may refuse this server.")
    ],
    author: Annotated[
        str, typer.Option(help="A mailbox of the domain; any of them if not given.")
    ] = "",
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for delivery reports.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Send a test mail to each address, and tell what the servers said; ends with 1 on failure."""
    api = Api.from_environment()
    path = f"/domains/{name}/test-email"
    test = api.call("POST", path, json={"to": to, "author": author})
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline and _open(test):
        time.sleep(min(2.0, max(0.0, deadline - time.monotonic())))
        test = api.call("GET", f"{path}/{test['id']}")
    _print(test, as_json)
    if not test["ok"]:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("rotate-dkim")
def rotate_dkim(
    name: Name,
    activate: Annotated[
        bool, typer.Option("--activate", help="Sign with the next key, whose record is published.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the next DKIM key; publish its record, then run this again with --activate."""
    step = "activate" if activate else "rotate"
    _print(Api.from_environment().call("POST", f"/domains/{name}/dkim/{step}"), as_json)


def _open(test: dict[str, Any]) -> bool:
    return any(result["outcome"] == "accepted" for result in test["results"])


def _standing(record: dict[str, Any]) -> str:
    note = f" ({record['note']})" if record["note"] else ""
    return f"{record['standing']}{note}"


def _print_checks(answer: dict[str, Any]) -> None:
    table = Table(Column("check", no_wrap=True), "state", "what was found")
    for each in answer["checks"]:
        colour = _COLOURS.get(each["state"], "")
        found = "\n".join([each["text"], *each["found"]])
        table.add_row(each["name"], f"[{colour}]{each['state']}[/]", found)
    console.print(table)
    for each in answer["checks"]:
        if each["hints"]:
            console.print(f"{each['name']}:", markup=False)
        for hint in each["hints"]:
            console.print(f"  - {hint}", markup=False, soft_wrap=True)
    console.print(answer["hint"], markup=False, soft_wrap=True)


def _print(answer: Any, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    elif isinstance(answer, dict):
        print_document(answer)
    else:
        raise Refused(ExitCode.UNAVAILABLE, "the platform's answer is not understood")
