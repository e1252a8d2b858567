"""What it costs to fill in one mail of 2 KB: compiled, beside the standard library's own building."""

import timeit
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import partial

from dispatcher.domain.campaigns import Campaign, Step, Tracking, Variant
from dispatcher.domain.message import Author, CompiledMessage, Letter
from postfleet.secrets import KeyRing
from postfleet.tokens import TokenKeys
from tests.bench.figures import Figure, figure

_KEYS = TokenKeys(KeyRing.parse("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="))
_LINES = "\n".join(
    f"Line {n} of what we have to say to you this week, and more." for n in range(10)
)
_TEXT = "Hello {{ first_name | default: 'there' }},\n\n" + _LINES + "\n\nfor {{ company }}, Ann"
_HTML = (
    "<p>Hello {{ first_name | default: 'there' }},</p><p>" + _LINES.replace("\n", "<br>\n") + "</p>"
    '<p><a href="https://www.example.com/offer">our offer</a> for {{ company }}</p>'
)
_LIQUID = _TEXT.replace("{{ company }}", "{{ company | upcase }}")
_VALUES = {"first_name": "Jo", "company": "Example & Sons", "email": "jo@example.net"}
_DATE = datetime(2026, 11, 21, 12, tzinfo=UTC)
AUTHOR = Author("ann@fleet.example", "Ann Fleet")


def compiled(text: str, html: str = _HTML, *, tracked: bool) -> CompiledMessage:
    variant = Variant("A", "News for {{ company }}", text, html)
    campaign = Campaign(
        id="spring",
        name="Spring",
        senders=("s1",),
        steps=(Step(timedelta(0), (variant,)),),
        tracking=Tracking(tracked, tracked),
        postal_address="1 Main St",
    )
    return CompiledMessage(campaign, 0, variant, _KEYS, "https://mail.fleet.example")


def _fill(message: CompiledMessage, number: int) -> bytes:
    delivery = f"{number:032x}"
    id_ = f"<{delivery}.abc@fleet.example>"
    letter = Letter(delivery, id_, AUTHOR, "jo@example.net", _DATE, _VALUES)
    return message.fill(letter).content


def standard(number: int) -> bytes:
    """The same mail as the documentation of `email` shows it, its texts already filled in."""
    mail = EmailMessage(policy=SMTP.clone(max_line_length=998))
    mail["Date"], mail["From"] = format_datetime(_DATE), "Ann Fleet <ann@fleet.example>"
    mail["To"], mail["Subject"] = "jo@example.net", "News for Example & Sons"
    mail["Message-ID"] = f"<{number:032x}.abc@fleet.example>"
    mail["List-Unsubscribe"] = f"<https://mail.fleet.example/u/{number:044x}>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(_TEXT, cte="quoted-printable")
    mail.add_alternative(_HTML, subtype="html", cte="quoted-printable")
    return mail.as_bytes()


def tracked_mails() -> Callable[[int], bytes]:
    """Fills in the mail with that number: links, pixel and unsubscribe header are in it."""
    return partial(_fill, compiled(_TEXT, tracked=True))


def results(quick: bool) -> list[Figure]:
    rounds, mails = (3, 300) if quick else (9, 2000)
    ways = {
        "compose: a mail of 2 KB, two parts": partial(_fill, compiled(_TEXT, tracked=False)),
        "compose: the same with tracking": partial(_fill, compiled(_TEXT, tracked=True)),
        "compose: the same through Liquid": partial(_fill, compiled(_LIQUID, tracked=True)),
    }
    ours: dict[str, list[float]] = {name: [] for name in ways}
    theirs = []
    for _ in range(rounds):
        theirs.append(_microseconds(standard, mails // 10))
        for name, way in ways.items():
            ours[name].append(_microseconds(way, mails))
    against = "EmailMessage + as_bytes"
    return [
        figure(
            name,
            values,
            "µs/mail",
            peer=theirs,
            against=against,
            goal="" if "Liquid" in name else "<= 30 µs/mail",
        )
        for name, values in ours.items()
    ]


def _microseconds(make: "partial[bytes] | object", mails: int) -> float:
    assert callable(make)
    numbers = iter(range(mails))
    return timeit.timeit(lambda: make(next(numbers)), number=mails) / mails * 1e6
