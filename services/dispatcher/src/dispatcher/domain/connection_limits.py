"""How many connections a server takes: learnt from the one that it refused."""

from postfleet.smtp import SmtpReply
from postfleet.smtp_reply import classify


def fewer_connections(others: int, reply: SmtpReply | None) -> int | None:
    """The new limit after a refused connection; None where the refusal is a failure like any other.

    `others` are open, or being opened. "Too many connections" (421, RFC 5321 §4.2.3) beside them is
    no trouble of the sender: the server takes them, and no more.
    """
    if not others or reply is None or reply.permanent:
        return None
    return others if classify(reply, "connect").category == "rate_limited" else None
