"""Whose servers take the mail of an address: its domain, or the provider that its MX points to.

A provider throttles over all the domains that it hosts, so they share one pace. Data: the suffixes
of the providers' MX hosts, from their own set-up pages.
"""

from collections.abc import Sequence

from postfleet.addresses import domain_of

#: suffix of an MX host -> provider
PROVIDERS = {
    "google.com": "google",  # aspmx.l.google.com, smtp.google.com (support.google.com/a/answer/174125)
    "googlemail.com": "google",
    "psmtp.com": "google",
    "outlook.com": "microsoft",  # *.mail.protection.outlook.com, *.olc.protection.outlook.com
    "mx.microsoft": "microsoft",  # DNSSEC-signed zones of Exchange Online
    "hotmail.com": "microsoft",
    "yahoodns.net": "yahoo",  # Yahoo, AOL, Verizon
    "mail.icloud.com": "apple",
    "messagingengine.com": "fastmail",
    "protonmail.ch": "proton",
    "zoho.com": "zoho",
    "zoho.eu": "zoho",
    "zohomail.com": "zoho",
    "yandex.net": "yandex",
    "yandex.ru": "yandex",
    "mail.ru": "mailru",
    "qq.com": "tencent",
    "netease.com": "netease",
    "mxhichina.com": "alibaba",
    "gmx.net": "united-internet",
    "web.de": "united-internet",
    "kundenserver.de": "united-internet",
    "ionos.com": "united-internet",
    "1and1.com": "united-internet",
    "t-online.de": "t-online",
    "orange.fr": "orange",
    "free.fr": "free",
    "sfr.fr": "sfr",
    "libero.it": "libero",
    "seznam.cz": "seznam",
    "wp.pl": "wp",
    "onet.pl": "onet",
    "comcast.net": "comcast",
    "cox.net": "cox",
    "charter.net": "charter",
    "secureserver.net": "godaddy",
    "hostedemail.com": "tucows",
    "emailsrvr.com": "rackspace",
    "ovh.net": "ovh",
    "gandi.net": "gandi",
    "migadu.com": "migadu",
    "amazonaws.com": "amazon",
    "awsapps.com": "amazon",
    "mimecast.com": "mimecast",
    "mimecast.co.za": "mimecast",
    "pphosted.com": "proofpoint",
    "ppe-hosted.com": "proofpoint",
    "ppops.net": "proofpoint",
    "messagelabs.com": "broadcom",
    "iphmx.com": "cisco",
    "barracudanetworks.com": "barracuda",
    "trendmicro.com": "trendmicro",
    "trendmicro.eu": "trendmicro",
    "mailcontrol.com": "forcepoint",
    "sophos.com": "sophos",
    "hornetsecurity.com": "hornetsecurity",
    "antispameurope.com": "hornetsecurity",
    "mxlogic.net": "trellix",
    "mailspamprotection.com": "siteground",
    "registrar-servers.com": "namecheap",
    "privateemail.com": "namecheap",
    "forwardemail.net": "forwardemail",
    "improvmx.com": "improvmx",
    "mx.cloudflare.net": "cloudflare",
}

#: The largest consumer domains: known without asking DNS.
DOMAINS = {
    **dict.fromkeys(("gmail.com", "googlemail.com"), "google"),
    **dict.fromkeys(
        ("outlook.com", "hotmail.com", "live.com", "msn.com", "hotmail.fr", "hotmail.co.uk"),
        "microsoft",
    ),
    **dict.fromkeys(("yahoo.com", "ymail.com", "rocketmail.com", "aol.com", "yahoo.fr"), "yahoo"),
    **dict.fromkeys(("icloud.com", "me.com", "mac.com"), "apple"),
    **dict.fromkeys(("gmx.de", "gmx.net", "gmx.at", "gmx.ch", "web.de"), "united-internet"),
    **dict.fromkeys(("yandex.ru", "yandex.com", "ya.ru"), "yandex"),
    **dict.fromkeys(("mail.ru", "bk.ru", "inbox.ru", "list.ru"), "mailru"),
    **dict.fromkeys(("proton.me", "protonmail.com", "pm.me"), "proton"),
}

#: every name that is not simply a domain; a bounded set, fit for a metric's label
NAMES = frozenset(PROVIDERS.values()) | frozenset(DOMAINS.values())


def destination_of(address: str, exchangers: Sequence[str] = ()) -> str:
    """The provider, by the domain or by its most preferred MX; else the domain itself.

    `exchangers`: host names, most preferred first; empty where DNS does not tell.
    """
    domain = domain_of(address).lower()
    known = DOMAINS.get(domain) or (provider_of(exchangers[0]) if exchangers else None)
    return known or domain


def provider_of(exchanger: str) -> str | None:
    """The provider of an MX host, by the longest suffix that is known."""
    labels = exchanger.lower().rstrip(".").split(".")
    suffixes = (".".join(labels[start:]) for start in range(len(labels)))
    return next((PROVIDERS[suffix] for suffix in suffixes if suffix in PROVIDERS), None)
