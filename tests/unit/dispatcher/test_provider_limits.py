"""Connections and mails per connection: what is set, or less where the provider takes less."""

import ssl

import pytest
from pydantic import ValidationError

from dispatcher.delivery import SendingOptions
from dispatcher.domain.provider_limits import PROVIDER_LIMITS, ProviderLimit, provider_limit
from dispatcher.domain.retries import RetryRules
from dispatcher.settings import HostLimit
from dispatcher.transport import Timeouts


def options(connections: int, mails: int, **own: ProviderLimit) -> SendingOptions:
    return SendingOptions(
        connections_per_sender=connections,
        mails_per_connection=mails,
        retries=RetryRules(300, 3600),
        local_hostname="here.test",
        timeouts=Timeouts(1, 1, 1),
        tls_context=ssl.create_default_context(),
        message_id_key=b"k",
        provider_limits={name.replace("_", "."): limit for name, limit in own.items()},
    )


@pytest.mark.parametrize(
    ("host", "connections", "mails"),
    [
        pytest.param("smtp.office365.com", 3, 1000, id="Microsoft refuses the fourth (432 4.3.2)"),
        pytest.param("SMTP.Office365.com.", 3, 1000, id="however it is written"),
        pytest.param("smtp-mail.outlook.com", 3, 1000, id="outlook.com is Microsoft's too"),
        pytest.param("smtp.socketlabs.com", 10, 50, id="both limits"),
        pytest.param("email-smtp.eu-west-1.amazonaws.com", 10, 1000, id="SES in any region"),
        pytest.param("ec2-1-2-3-4.compute.amazonaws.com", 20, 1000, id="a server of one's own"),
        pytest.param("smtp.sendgrid.net", 20, 1000, id="the setting is lower than SendGrid's"),
        pytest.param("notoffice365.com", 20, 1000, id="a name that only ends alike"),
        pytest.param("mail.example.com", 20, 1000, id="nothing is known: what is set"),
    ],
)
def test_the_lower_of_setting_and_provider_holds(host: str, connections: int, mails: int) -> None:
    limits = options(20, 1000).pool_limits(host)
    assert (limits.connections, limits.mails_per_connection) == (connections, mails)


def test_an_operator_who_knows_better_is_believed_up_to_the_setting() -> None:
    raised = options(20, 1000, smtp_office365_com=ProviderLimit(8, None, "set"))
    assert raised.pool_limits("smtp.office365.com").connections == 8
    freed = options(20, 1000, smtp_office365_com=ProviderLimit(None, None, "set"))
    assert freed.pool_limits("smtp.office365.com").connections == 20


def test_the_most_particular_pattern_counts() -> None:
    own = {"*.example.com": ProviderLimit(5, 5, ""), "smtp.example.com": ProviderLimit(1, 1, "")}
    assert provider_limit("smtp.example.com", own).connections == 1
    assert provider_limit("other.example.com", own).connections == 5


@pytest.mark.parametrize("given", [{"connections": 0}, {"conections": 3}, {"connections": "many"}])
def test_a_limit_that_is_none_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HostLimit.model_validate(given)


def test_each_figure_says_where_it_is_from() -> None:
    assert all(limit.source for limit in PROVIDER_LIMITS.values())
    assert all(pattern == pattern.lower() for pattern in PROVIDER_LIMITS)
