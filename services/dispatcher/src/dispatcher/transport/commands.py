"""The commands of a transaction as octets, and what a reply to each is about."""

from dispatcher.domain.outcomes import Phase
from dispatcher.transport.mails import Envelope

#: What a reply belongs to; NOBODY is the final dot of a content that nobody is left to get.
RSET, MAIL, RCPT, DATA, DOT, NOBODY, QUIT = range(7)
PHASES = {MAIL: Phase.MAIL, RCPT: Phase.RCPT, DATA: Phase.DATA, DOT: Phase.FINAL}


def mail(envelope: Envelope) -> bytes:
    body = " BODY=8BITMIME" if envelope.eight_bit else ""
    utf8 = "" if envelope.isascii else " SMTPUTF8"
    return f"MAIL FROM:<{envelope.reverse_path}>{body}{utf8}\r\n".encode()


def rcpt(envelope: Envelope) -> bytes:
    return f"RCPT TO:<{envelope.forward_path}>\r\n".encode()


def group(envelope: Envelope) -> bytes:
    """MAIL, RCPT and DATA in one write (RFC 2920)."""
    reverse_path, forward_path, eight_bit, utf8_fields = envelope
    plain = f"MAIL FROM:<{reverse_path}>\r\nRCPT TO:<{forward_path}>\r\nDATA\r\n"
    if eight_bit or utf8_fields or not plain.isascii():
        return b"%b%bDATA\r\n" % (mail(envelope), rcpt(envelope))
    return plain.encode()
