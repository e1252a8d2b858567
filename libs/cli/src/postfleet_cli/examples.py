"""An example for each command, shown at the end of its help. A test reads each as the command does."""

from typing import Final

import typer

EXAMPLES: Final = {
    "up": "--demo --data /tmp/try",
    "doctor": "--json",
    "backup": "backups/monday",
    "restore": "backups/monday --data /var/lib/postfleet",
    "send": "--to ada@example.org --from me@example.com --subject Hello --text 'Hi Ada'",
    "why": "ada@example.org",
    "plan": "cmp_7 --without-domain example.org",
    "simulate": "--senders 50 --leads 1000 --days 5",
    "gateway": "",
    "version": "--json",
    "senders add": "me@example.com --smtp-host smtp.example.com --imap-host imap.example.com",
    "senders list": "--limit 20",
    "senders show": "me@example.com",
    "senders validate": "me@example.com",
    "senders suspend": "me@example.com --reason 'owner is away'",
    "senders resume": "me@example.com",
    "senders delete": "me@example.com --confirm me@example.com",
    "senders rotate-password": "me@example.com",
    "senders suspend-domain": "example.com --reason 'listed at Spamhaus'",
    "senders resume-domain": "example.com",
    "senders import": "senders.csv --parallel 8",
    "keys rotate": "",
    "domains add": "example.com",
    "domains list": "--json",
    "domains verify": "example.com",
    "domains records": "example.com",
    "domains apply": "example.com",
    "domains mta-sts": "example.com testing",
    "domains masquerading": "example.com --on",
    "domains check": "example.com",
    "domains test-email": "example.com --to me@example.org",
    "domains rotate-dkim": "example.com",
    "dns-providers add": "ours cloudflare",
    "dns-providers list": "",
    "dns-providers remove": "ours",
    "mailboxes add": "ada@example.com --display-name 'Ada Lovelace'",
    "mailboxes add-app": "example.com shop",
    "mailboxes list": "--domain example.com",
    "mailboxes remove": "ada@example.com --yes",
    "filters list": "--domain example.com",
    "filters show": "ada@example.com",
    "filters vacation": "ada@example.com --text 'Back on Monday' --days 3",
    "filters forward": "ada@example.com --to bob@example.com --keep",
    "filters move": "ada@example.com --to Lists --if 'subject contains [list]'",
    "filters remove": "ada@example.com --rule 1",
    "fleet plan": "fleet.yaml",
    "fleet apply": "fleet.yaml --approve 3f9a1c",
    "fleet drift": "fleet.yaml --json",
    "campaigns list": "--status running",
    "campaigns create": "spring.json",
    "campaigns show": "cmp_7",
    "campaigns start": "cmp_7",
    "campaigns pause": "cmp_7",
    "campaigns resume": "cmp_7",
    "campaigns duplicate": "cmp_7 --name Autumn",
    "campaigns delete": "cmp_7 --yes",
    "campaigns import": "cmp_7 leads.csv",
    "campaigns stats": "cmp_7",
    "campaigns plan": "cmp_7",
    "campaigns preview": "cmp_7 --lead ada@example.org",
    "campaigns test": "cmp_7 --to me@example.com",
    "templates list": "",
    "templates show": "welcome --version 2",
    "templates create": "welcome --subject 'Hello {{ name }}' --text welcome.txt",
    "templates change": "welcome --html welcome.html",
    "templates preview": "welcome",
    "templates delete": "welcome",
    "pauses list": "",
    "pauses resume": "provider:gmail",
    "events tail": "--type email.sent --follow",
    "events replay": "--since 2h --type email.sent",
    "dead-letters list": "--limit 20",
    "dead-letters show": "17",
    "dead-letters replay": "17 18",
    "dead-letters drop": "17 --yes",
    "ledger announce": "--since 2h",
    "inbox explain": "bounce.eml",
    "people export": "ada@example.org",
    "people erase": "ada@example.org --yes",
    "tracker rescore": "--since 7d --dry-run",
    "webhooks list": "",
    "webhooks add": "https://crm.example.com/hook --event email.opened",
    "webhooks remove": "wh_3",
    "webhooks log": "wh_3",
    "webhooks replay": "wh_3 2026-11-21T08:00:00Z",
    "bus apply": "--replicas 3",
    "bus rebuild": "tracker",
}


def attach(app: typer.Typer, path: str = "") -> None:
    """Let the help of every command below `path` end with its example."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        where = f"{path} {name}".strip()
        example = f"Example: postfleet {where} {EXAMPLES.get(where, '')}".rstrip()
        own = command.epilog if isinstance(command.epilog, str) else ""
        command.epilog = f"{own}\n\n{example}".lstrip()
    for group in app.registered_groups:
        if group.typer_instance is not None:
            attach(group.typer_instance, f"{path} {group.name}".strip())
