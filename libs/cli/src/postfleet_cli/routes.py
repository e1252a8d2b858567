"""Which service answers which path: the one table of the gateway, the API's documents and `up`."""

from typing import Final

API: Final = "/api/public/v1"

SERVICES: Final = (
    "sender-registry",
    "dispatcher",
    "inbox-watcher",
    "tracker",
    "mail-provisioner",
)

#: the first segment below API -> service
API_RESOURCES: Final = {
    "sender-accounts": "sender-registry",
    "sender-requests": "sender-registry",
    "api-keys": "sender-registry",
    "campaigns": "dispatcher",
    "messages": "dispatcher",
    "templates": "dispatcher",
    "deliveries": "dispatcher",
    "suppressions": "dispatcher",
    "ledger": "dispatcher",
    "pauses": "dispatcher",
    "inbound": "inbox-watcher",
    "analytics": "tracker",
    "webhooks": "tracker",
    "people": "tracker",
    "rescores": "tracker",
    "domains": "mail-provisioner",
    "mailboxes": "mail-provisioner",
    "aliases": "mail-provisioner",
    "groups": "mail-provisioner",
    "catch-all": "mail-provisioner",
    "relays": "mail-provisioner",
    "blocklists": "mail-provisioner",
    "filters": "mail-provisioner",
    "dns-providers": "mail-provisioner",
}

#: the first segment of every other path -> service; "" is `/` itself
PUBLIC: Final = {
    "": "tracker",
    "login": "tracker",
    "logout": "tracker",
    "static": "tracker",
    "dashboard": "tracker",
    "o": "tracker",
    "c": "tracker",
    "u": "tracker",
    "confirm": "dispatcher",
    ".well-known": "mail-provisioner",  # mta-sts.txt (RFC 8461)
}


def service_of(path: str) -> str | None:
    """The service that answers this path, or None."""
    if path == API or path.startswith(f"{API}/"):
        return API_RESOURCES.get(path[len(API) + 1 :].split("/", 1)[0])
    return PUBLIC.get(path[1:].split("/", 1)[0])


def module_of(service: str) -> str:
    """The package that `python -m` runs."""
    return service.replace("-", "_")


def url_variable(service: str) -> str:
    """The variable that tells the gateway where a service is."""
    return f"POSTFLEET_GATEWAY_{module_of(service).upper()}_URL"
