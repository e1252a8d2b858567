"""Who may send under any name of a domain: `postfleet/senders.pcre`, one line for such a domain.

Postfix joins it with the tables that let everybody send as themselves (smtpd_sender_login_maps): where a
domain has a line, each of its mailboxes may say MAIL FROM with whatever name of the domain.
"""

from collections.abc import Sequence
from enum import StrEnum

from mail_provisioner.domain.config_lines import with_line
from mail_provisioner.domain.user_tables import line_of, without_line

FILE = "postfleet/senders.pcre"


class Masquerading(StrEnum):
    OFF = "off"
    ON = "on"


def allows(text: str, domain: str) -> bool:
    return bool(line_of(text, _pattern(domain)))


def with_logins(text: str, domain: str, mailboxes: Sequence[str]) -> str:
    """The table in which these mailboxes, and no others, may send under any name of the domain."""
    # a pattern needs a result: without a mailbox, one that nobody can log in as
    line = f"{_pattern(domain)}{','.join(mailboxes) or 'nobody'}"
    if line_of(text, _pattern(domain)) == line:
        return text
    return with_line(without_line(text, _pattern(domain)), line)


def without(text: str, domain: str) -> str:
    return without_line(text, _pattern(domain))


def _pattern(domain: str) -> str:
    return f"/@{domain.replace('.', chr(92) + '.')}$/ "
