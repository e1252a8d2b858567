"""Every path of the API has one service behind it."""

import pytest

from postfleet_cli.routes import SERVICES, service_of, url_variable

_TABLE = {
    "sender-registry": ("sender-accounts", "sender-requests", "api-keys"),
    "dispatcher": (
        *("campaigns", "messages", "templates", "deliveries"),
        *("suppressions", "pauses"),
    ),
    "inbox-watcher": ("inbound",),
    "tracker": ("analytics", "webhooks"),
    "mail-provisioner": (
        *("domains", "mailboxes", "aliases", "groups"),
        *("catch-all", "relays", "blocklists", "filters", "dns-providers"),
    ),
}


@pytest.mark.parametrize(
    ("resource", "service"), [(r, s) for s, resources in _TABLE.items() for r in resources]
)
def test_a_resource_and_what_is_below_it_go_to_its_service(resource: str, service: str) -> None:
    assert service_of(f"/api/public/v1/{resource}") == service
    assert service_of(f"/api/public/v1/{resource}/1/start") == service


@pytest.mark.parametrize(
    "path",
    ["/", "/login", "/logout", "/static/a.css", "/dashboard/x", "/o/t.gif", "/c/t", "/u/t"],
)
def test_what_recipients_and_browsers_open_goes_to_the_tracker(path: str) -> None:
    assert service_of(path) == "tracker"


def test_other_mail_servers_ask_the_provisioner_for_policies() -> None:
    assert service_of("/.well-known/mta-sts.txt") == "mail-provisioner"


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/public/v1",
        "/api/public/v2/campaigns",
        "/api/public/v1/",
        "/users",
        "/metricsx",
    ],
)
def test_other_paths_go_nowhere(path: str) -> None:
    assert service_of(path) is None


def test_containers_name_an_upstream_by_its_variable() -> None:
    assert [url_variable(service) for service in SERVICES] == [
        "POSTFLEET_GATEWAY_SENDER_REGISTRY_URL",
        "POSTFLEET_GATEWAY_DISPATCHER_URL",
        "POSTFLEET_GATEWAY_INBOX_WATCHER_URL",
        "POSTFLEET_GATEWAY_TRACKER_URL",
        "POSTFLEET_GATEWAY_MAIL_PROVISIONER_URL",
    ]
