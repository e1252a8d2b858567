"""Who receives the mail: a few large providers by their own domains; everybody else is `other`.

Companies that have their domain hosted by one of them count as `other`: telling would take a lookup.
"""

from postfleet.addresses import domain_of

OTHER = "other"

_DOMAINS = {
    "google": ("gmail.com", "googlemail.com"),
    "microsoft": ("outlook.com", "hotmail.com", "live.com", "msn.com", "hotmail.co.uk"),
    "yahoo": ("yahoo.com", "ymail.com", "rocketmail.com", "aol.com", "yahoo.co.uk", "yahoo.fr"),
    "apple": ("icloud.com", "me.com", "mac.com"),
    "gmx": ("gmx.de", "gmx.net", "gmx.com", "web.de", "mail.com"),
    "proton": ("proton.me", "protonmail.com", "pm.me"),
    "zoho": ("zoho.com", "zohomail.com"),
    "yandex": ("yandex.ru", "yandex.com", "ya.ru"),
    "mail.ru": ("mail.ru", "bk.ru", "inbox.ru", "list.ru"),
    "qq": ("qq.com", "foxmail.com"),
    "netease": ("163.com", "126.com", "yeah.net"),
    "orange": ("orange.fr", "wanadoo.fr"),
    "t-online": ("t-online.de", "magenta.de"),
}
_PROVIDER = {domain: name for name, domains in _DOMAINS.items() for domain in domains}


def provider_of(address: str) -> str:
    return _PROVIDER.get(domain_of(address), OTHER)


#: Where the provider tells a sending domain or address how it sees it.
_REPUTATION_TOOLS = {
    "google": "https://postmaster.google.com/",
    "microsoft": "https://sendersupport.olc.protection.outlook.com/snds/",
    "yahoo": "https://senders.yahooinc.com/",
    "mail.ru": "https://postmaster.mail.ru/",
}


def reputation_tool(provider: str) -> str:
    """The provider's own postmaster tool; "" where it has none for everybody."""
    return _REPUTATION_TOOLS.get(provider, "")
