"""A server that takes fewer connections than we open is no failing server."""

import pytest

from dispatcher.domain.connection_limits import fewer_connections
from postfleet.smtp import SmtpReply


@pytest.mark.parametrize(
    ("others", "reply", "limit"),
    [
        pytest.param(1, SmtpReply(421, "4.7.0 Too many connections"), 1, id="one is taken"),
        pytest.param(3, SmtpReply(421, "too many concurrent connections"), 3, id="three are"),
        pytest.param(0, SmtpReply(421, "4.7.0 Too many connections"), None, id="none is: trouble"),
        pytest.param(1, SmtpReply(421, "4.3.2 shutting down"), None, id="another reason"),
        pytest.param(1, SmtpReply(554, "too many connections"), None, id="for good"),
        pytest.param(1, None, None, id="no reply"),
    ],
)
def test_too_many_connections_beside_others_shrinks_the_limit(
    others: int, reply: SmtpReply | None, limit: int | None
) -> None:
    assert fewer_connections(others, reply) == limit
