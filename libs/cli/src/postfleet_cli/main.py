"""The command `postfleet`."""

from importlib.metadata import version as installed

from postfleet_cli import (
    bus_commands,
    campaign_plan,
    campaigns,
    dead_letters,
    dns_providers,
    domains,
    event_log,
    examples,
    filters,
    fleet,
    inbox,
    keys,
    ledger,
    mailboxes,
    pauses,
    people,
    senders,
    templates,
    tracker,
    webhooks,
)
from postfleet_cli.backup.command import backup, restore
from postfleet_cli.demo_command import demo
from postfleet_cli.doctor.command import doctor
from postfleet_cli.exits import EXIT_CODES_HELP
from postfleet_cli.migrate import migrate
from postfleet_cli.output import AsJson, print_json
from postfleet_cli.send import send
from postfleet_cli.simulate.command import simulate
from postfleet_cli.start import Commands
from postfleet_cli.up import up
from postfleet_cli.why import why

app = Commands(
    name="postfleet",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=EXIT_CODES_HELP,
    help=(
        "Send mail through a fleet of sender mailboxes. `postfleet up` runs everything on this "
        "machine; the other commands talk to a running platform: over HTTP at POSTFLEET_URL "
        "(http://127.0.0.1:8080) with POSTFLEET_API_KEY (else .postfleet/api-key), or with NATS "
        "at NATS_URL (nats://127.0.0.1:4222) as NATS_USER with NATS_PASSWORD."
    ),
)

app.command()(up)
app.command()(doctor)
app.command()(backup)
app.command()(restore)
app.command()(migrate)
app.command()(send)
app.command()(why)
app.command()(campaign_plan.plan)
app.command()(simulate)
app.command()(demo)
app.add_typer(senders.app, name="senders")
app.add_typer(keys.app, name="keys")
app.add_typer(domains.app, name="domains")
app.add_typer(dns_providers.app, name="dns-providers")
app.add_typer(mailboxes.app, name="mailboxes")
app.add_typer(filters.app, name="filters")
app.add_typer(fleet.app, name="fleet")
app.add_typer(campaigns.app, name="campaigns")
app.add_typer(templates.app, name="templates")
app.add_typer(pauses.app, name="pauses")
app.add_typer(event_log.app, name="events")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(ledger.app, name="ledger")
app.add_typer(inbox.app, name="inbox")
app.add_typer(people.app, name="people")
app.add_typer(tracker.app, name="tracker")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(bus_commands.app, name="bus")


@app.command()
def gateway() -> None:
    """Serve the one address in front of the five services, as containers do.

    POSTFLEET_GATEWAY_<SERVICE>_URL says where a service is (http://<service>:8000),
    POSTFLEET_HTTP_HOST and POSTFLEET_HTTP_PORT where to listen (127.0.0.1, 8000).
    """
    from postfleet_cli.gateway import serve

    serve()


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    number = installed("postfleet-cli")
    if as_json:
        print_json({"version": number})
        return
    print(number)


examples.attach(app)
