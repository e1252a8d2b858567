"""SMTP out: aiosmtplib opens the session, our own transactions follow on its transport.

    connection = await connect(server, password, tls_context=…, local_hostname=…, timeouts=Timeouts())
    connection.serve(source)         # whoever has mails: see `Source`; none now is no end
    connection.kick()                # there are mails again
    await connection.quit()

A `Source` is asked for the next mail (`take`) at the moment when it can travel, and told what became
of each (`settle`) from within the event loop: no task, future or timer is made per mail. `Mail` needs
an envelope and a content that is dot-stuffed and ends with the final dot; `ours=True` where no ledger
guards it. `send_all` feeds a list over one connection, for those who have no ledger.

On servers that announce PIPELINING (RFC 2920) the envelope of the next mail travels behind the final
dot of the current one: about one round trip a mail. Elsewhere, and with servers that have shown that
they do not mean it (`Habits`), one command at a time. In both, at most one mail per connection is
between its final dot and the reply, so a lost connection leaves at most one in doubt (RFC 1047).
"""

from dispatcher.transport.connection import Connection
from dispatcher.transport.deadline import Timeouts
from dispatcher.transport.habits import Habits
from dispatcher.transport.mails import (
    Envelope,
    Mail,
    NotOurs,
    Refused,
    Result,
    Source,
    envelope_for,
    send_all,
)
from dispatcher.transport.opening import connect
from dispatcher.transport.resuming import ResumingContext

__all__ = [
    "Connection",
    "Envelope",
    "Habits",
    "Mail",
    "NotOurs",
    "Refused",
    "Result",
    "ResumingContext",
    "Source",
    "Timeouts",
    "connect",
    "envelope_for",
    "send_all",
]
