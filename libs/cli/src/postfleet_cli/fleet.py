"""`postfleet fleet`: the fleet as a file. The difference is shown, approved, then made."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from postfleet_cli.api import Api
from postfleet_cli.exits import ExitCode, Refused
from postfleet_cli.fleet_file import Fleet, load, secret_of
from postfleet_cli.fleet_plan import Actual, Plan, plan
from postfleet_cli.output import AsJson, console, print_json

app = typer.Typer(no_args_is_help=True, help="The whole fleet as one file, fleet.yaml.")

File = Annotated[Path, typer.Argument(help="What the fleet should look like.")]
Prune = Annotated[
    bool,
    typer.Option(
        "--prune", help="Remove aliases, groups, catch-alls and relays that are not in the file."
    ),
]
_ALL = 1_000_000


@app.command("plan")
def show_plan(
    file: File = Path("fleet.yaml"), prune: Prune = False, as_json: AsJson = False
) -> None:
    """Show what would be changed, and the id by which it can be approved. Changes nothing."""
    made = plan(load(file), read(Api.from_environment()), prune=prune)
    if as_json:
        print_json(_as_json(made))
    else:
        _print(made)


@app.command()
def apply(
    file: File = Path("fleet.yaml"),
    approve: Annotated[
        str, typer.Option(help="The id that `plan` showed; another plan by now is refused.")
    ] = "",
    prune: Prune = False,
    as_json: AsJson = False,
) -> None:
    """Make the fleet as the file says, after approval. Safe to repeat: it goes on where it ended."""
    api, fleet = Api.from_environment(), load(file)
    made = plan(fleet, read(api), prune=prune)
    if as_json:
        print_json(_as_json(made))
    else:
        _print(made)
    if not made.changes:
        return
    secrets = _secrets(fleet, made)
    _insist_on_approval(made, approve)
    failed = carry_out(api, made, secrets, quiet=as_json)
    if failed:
        raise Refused(ExitCode.REFUSED, *failed, "mend these, then apply again")


@app.command()
def drift(file: File = Path("fleet.yaml"), as_json: AsJson = False) -> None:
    """Show how the platform and the DNS differ from the file; ends with 1 if they do."""
    api, fleet = Api.from_environment(), load(file)
    actual = read(api)
    made = plan(fleet, actual)
    published = [
        f"{domain.name}: the {record['purpose']} record is {record['standing']}"
        for domain in fleet.domains
        if actual.domains.get(domain.name.lower(), {}).get("state") == "verified"
        for record in api.call("GET", f"/domains/{domain.name}/records")["records"]
        if record["standing"] != "published"
    ]
    if as_json:
        print_json({**_as_json(made), "dns": published})
    else:
        _print(made)
        for line in published:
            console.print(f"! {line}", markup=False, soft_wrap=True)
    if made.changes or made.unmanaged or published:
        raise typer.Exit(ExitCode.REFUSED)


def read(api: Api) -> Actual:
    """What there is: a few lists, whatever the number of domains."""

    def by(path: str, key: str) -> dict[str, dict[str, Any]]:
        return {str(item[key]).lower(): item for item in api.items(path, _ALL)}

    return Actual(
        domains=by("/domains", "name"),
        mailboxes=by("/mailboxes", "address"),
        aliases=by("/aliases", "alias"),
        groups=by("/groups", "address"),
        catch_alls=by("/catch-all", "domain"),
        relays=by("/relays", "domain"),
        blocks=by("/blocklists", "entry"),
        senders=by("/sender-accounts", "email_address"),
    )


def _secrets(fleet: Fleet, made: Plan) -> dict[str, str]:
    """Passwords of the relays that are made, before anything is changed. Raises Refused."""
    relays = {domain.name.lower(): domain.relay for domain in fleet.domains if domain.relay}
    wanted = {change.relay_of for change in made.changes if change.relay_of}
    return {name: secret_of(relays[name]) for name in sorted(wanted)}


def carry_out(
    api: Api, made: Plan, secrets: Mapping[str, str], *, quiet: bool = False
) -> list[str]:
    """Make the changes in order; what fails is told, and what needs it is left out."""
    failed: list[str] = []
    unverified: set[str] = set()
    for change in made.changes:
        if change.needs_verified in unverified:
            failed.append(f"{change.text}: left out, {change.needs_verified} is not verified")
            continue
        body = change.body
        if change.relay_of and body is not None:
            body = {**body, "password": secrets[change.relay_of]}
        try:
            api.call(change.verb, change.path, **({} if body is None else {"json": body}))
        except Refused as refusal:
            if refusal.code is not ExitCode.REFUSED:
                raise
            failed.append(f"{change.text}: {' '.join(refusal.lines)}")
            if change.path.startswith("/domains/") and change.path.endswith("/verify"):
                unverified.add(change.path.split("/")[2])
        else:
            if not quiet:
                console.print(f"done: {change.text}", markup=False, soft_wrap=True)
    return failed


def _insist_on_approval(made: Plan, approved: str) -> None:
    if approved:
        if approved != made.id:
            raise Refused(
                ExitCode.REFUSED,
                f"{approved} was approved, but this is plan {made.id}: look at it again",
            )
        return
    if not sys.stdin.isatty():
        raise Refused(ExitCode.REFUSED, f"nothing was changed: approve with --approve {made.id}")
    typer.confirm("Make these changes?", abort=True)


def _print(made: Plan) -> None:
    for change in made.changes:
        console.print(f"{_SIGNS[change.verb]} {change.text}", markup=False, soft_wrap=True)
    for line in made.unmanaged:
        console.print(f"? {line}", markup=False, soft_wrap=True)
    if made.changes:
        console.print(f"{len(made.changes)} changes, plan {made.id}", markup=False)
    else:
        console.print("nothing to change", markup=False)


_SIGNS = {"POST": "+", "PATCH": "~", "DELETE": "-"}


def _as_json(made: Plan) -> dict[str, Any]:
    return {
        "plan": made.id,
        "changes": [
            {"verb": c.verb, "path": c.path, "text": c.text, "body": c.body} for c in made.changes
        ],
        "unmanaged": list(made.unmanaged),
    }
