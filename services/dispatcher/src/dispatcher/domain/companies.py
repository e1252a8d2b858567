"""Who works together: the same `company` field, or the same domain where it is a company's own."""

from collections.abc import Mapping
from hashlib import sha256

from dispatcher.domain.free_mail import FREE_MAIL_DOMAINS
from postfleet.addresses import domain_of


def companies_of(address: str, fields: Mapping[str, str]) -> tuple[str, ...]:
    """The companies of a lead, as `domain:acme.com` and `name:acme inc`; free mail has none."""
    found = []
    domain = domain_of(address)
    if domain not in FREE_MAIL_DOMAINS:
        found.append(f"domain:{domain}")
    name = next((text for key, text in fields.items() if key.lower() == "company"), "")
    if folded := " ".join(name.casefold().split()):
        found.append(f"name:{folded}")
    return tuple(found)


def company_key(company: str) -> str:
    """Of a fixed length and alphabet, whatever the company is called."""
    return sha256(f"company\x1f{company}".encode()).hexdigest()[:24]
