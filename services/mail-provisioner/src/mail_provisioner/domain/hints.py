"""What an operator can do about a check that is not green. Texts only; the rules are in `checks`."""

SPAM_SCORE = (
    "When everything is green, check the spam score of the whole set-up: send a mail to an address "
    "that a service such as https://www.mail-tester.com gives you"
)

_MAIL_SERVER = (
    "Is the mail server running? `docker compose --profile mailserver ps mailserver` shows the "
    "container, `docker compose exec mailserver supervisorctl status` its processes",
    "Restart it with `docker compose --profile mailserver restart mailserver`",
    "Read its log with `docker compose --profile mailserver logs mailserver`",
)

_RECORDS = (
    "`postfleet domains apply` publishes the record where we may update the zone; else copy it from "
    "`postfleet domains records` into your DNS provider's form",
)

HINTS: dict[str, tuple[str, ...]] = {
    "outbound_25": (
        "Many providers block outgoing port 25 for new accounts: write to their support and ask "
        "them to open it",
        "DigitalOcean: outbound 25 is often blocked for new accounts; write to support",
        "EC2, Lightsail, Scaleway: let the security group allow outbound 25",
        "Vultr: outbound 25 is blocked for new accounts; write to support",
        "Where port 25 stays blocked (Google Cloud, Amazon EC2), hand mail to a relay: "
        "POST /relays, or `relays:` in fleet.yaml",
        *_MAIL_SERVER,
    ),
    "ptr": (
        "The PTR record (reverse DNS) must name the server as it greets others (EHLO); many "
        "receivers refuse mail without it",
        "It is set at the provider of the server's IP address, not at the DNS provider",
        "EC2, Lightsail: by the reverse DNS request form",
        "DigitalOcean: rename the droplet to the mail server's name",
        "Linode: by the guide to reverse DNS in the network settings",
        "Scaleway: in the control panel of the IP address",
        "Verify it with `host -t PTR <address>`, or run this check again",
    ),
    "dnsbl": (
        "Removal is usually a form at the list's own site",
        "A new server's address may have been used by a spammer before: most listings end by "
        "themselves after some days without spam",
        "Until then, hand mail to a relay: POST /relays",
    ),
    "mx": (
        *_RECORDS,
        "If mail still does not arrive, let the security group or firewall allow inbound 25",
    ),
    "spf": (
        *_RECORDS,
        "There may be one SPF record only, with at most 10 DNS lookups: ip4: and ip6: cost none. "
        "`~all` is a soft fail: receivers mark such mail, few refuse it",
    ),
    "dkim": (
        *_RECORDS,
        "Other services sign with selectors of their own: they need no change",
    ),
    "dmarc": (
        *_RECORDS,
        "DMARC tells receivers what to do when neither SPF nor DKIM fits the author's domain; "
        "`rua=mailto:…` asks for reports",
    ),
    "tls_rpt": (
        *_RECORDS,
        "Reports about failed TLS come to POSTFLEET_MAIL_PROVISIONER_TLS_REPORTS_TO",
    ),
    "mta_sts": (
        *_RECORDS,
        "Let the name mta-sts.<domain> (a CNAME or addresses) lead to the platform's public address, "
        "where TLS has a certificate for that name: /.well-known/mta-sts.txt is answered for every "
        "domain by its name",
        "Begin with `testing`; go to `enforce` once the TLS reports are clean",
    ),
    "tls": (
        "The certificate must be for the mail server's name and issued by a known authority: Let's "
        "Encrypt is part of the compose profile `mailserver`",
        *_MAIL_SERVER,
    ),
}

#: where to ask each list to remove an address
REMOVAL: dict[str, str] = {
    "zen.spamhaus.org": "https://check.spamhaus.org/",
    "bl.spamcop.net": "https://www.spamcop.net/bl.shtml",
    "b.barracudacentral.org": "https://www.barracudacentral.org/rbl/removal-request",
}
