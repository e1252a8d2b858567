"""The mail that every client of the benches sends: text and HTML, 2 KB or 50 KB with its headers."""

from email.message import EmailMessage
from email.policy import SMTP

REVERSE_PATH = "ann@sender.test"
RECIPIENT = "person*@people.test"

TEXT = (
    "Hello {{ first_name }},\n\n"
    "we have looked at what you wrote to us, and there are two things that we would like to\n"
    "know before we decide: how long it takes from the order to the delivery, and who answers\n"
    "the telephone when something does not work. The rest is clear.\n\n"
    "Kind regards\nAnn\n"
)
HTML = (
    "<!doctype html><html><body><p>Hello {{ first_name }},</p>\n"
    "<p>we have looked at what you wrote to us, and there are two things that we would like to\n"
    "know before we decide: how long it takes from the order to the delivery, and who answers\n"
    "the telephone when something does not work. The rest is clear.</p>\n"
    '<p><a href="https://example.com/offer">Our offer</a> and\n'
    '<a href="https://example.com/prices">our prices</a></p>\n'
    "<p>Kind regards<br>Ann</p></body></html>\n"
)


def ready_mail(size_bytes: int) -> bytes:
    """A whole mail of that size, give or take a line; CRLF line ends, no line starts with a dot."""
    message = EmailMessage(policy=SMTP)
    message["From"] = f"Ann Sender <{REVERSE_PATH}>"
    message["To"] = "person@people.test"
    message["Subject"] = "An offer for you"
    message["Date"] = "Mon, 02 Feb 2026 10:00:00 +0000"
    message["Message-ID"] = "<0123456789abcdef@sender.test>"
    message["List-Unsubscribe"] = "<https://track.test/u/0123456789abcdef>"
    message.set_content(TEXT)
    message.add_alternative(HTML, subtype="html")
    bare = len(message.as_bytes())
    line = "We write this line so that the mail is as long as mails usually are, no more.\n"
    filling = line * max(0, (size_bytes - bare) // (len(line) + 1))
    plain = message.get_body(("plain",))
    assert isinstance(plain, EmailMessage)
    plain.set_content(TEXT + filling)
    return message.as_bytes()
