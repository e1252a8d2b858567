"""Whose mailboxes take mail to `local+anything@domain` as well (RFC 5233 calls it a detail)."""

from dispatcher.domain.headers import Author
from postfleet.events.senders import SenderSnapshot

#: Providers that say so, read on 2026-11-21; a server of somebody else's may or may not.
_PROVIDERS = frozenset(
    {
        "GOOGLE_WORKSPACE",  # support.google.com/a/users/answer/9282734
        "OUTLOOK_365",  # learn.microsoft.com, "Plus addressing in Exchange Online": on by default
        "FASTMAIL",  # fastmail.help, "Plus addressing and subdomain addressing"
        "ICLOUD",  # support.apple.com: mail to name+tag@icloud.com arrives at name@icloud.com
    }
)


def author_of(sender: SenderSnapshot) -> Author:
    """Mailboxes of our own server take such mail too (its recipient delimiter is a +)."""
    plus = sender.kind == "internal" or sender.provider in _PROVIDERS
    return Author(sender.email_address, sender.display_name, plus)
