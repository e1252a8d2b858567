"""The ids of the ledger follow from what they stand for: planning twice makes the same ones."""

import hmac
from hashlib import sha256

from postfleet.addresses import canonical, domain_of


def lead_id(address: str) -> str:
    """From the canonical address: the same person is the same lead in every campaign."""
    return sha256(f"lead\x1f{address}".encode()).hexdigest()[:24]


def person_of(address: str) -> str:
    """The lead that this address, in whatever spelling, is in every campaign. Raises InvalidAddress."""
    return lead_id(canonical(address))


def delivery_id(campaign_id: str, lead: str, step: int) -> str:
    """32 hexadecimal digits."""
    return sha256(f"delivery\x1f{campaign_id}\x1f{lead}\x1f{step}".encode()).hexdigest()[:32]


def attempt_id(delivery: str, attempt: int) -> str:
    """The key that one worker only can insert, before it may write the final dot."""
    return f"{delivery}:{attempt}"


def message_id(delivery: str, author: str, key: bytes) -> str:
    """The Message-ID of every attempt of a delivery, on the author's domain; not to be guessed."""
    proof = hmac.digest(key, delivery.encode(), sha256)[:6].hex()
    return f"<{delivery}.{proof}@{domain_of(author)}>"
