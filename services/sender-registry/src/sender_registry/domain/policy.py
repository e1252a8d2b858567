"""Which domains senders may belong to."""

from dataclasses import dataclass

from postfleet.addresses import domain_of


@dataclass(frozen=True, slots=True)
class Policy:
    """`primary_domains` is empty where every domain is welcome; else it is the whole list."""

    primary_domains: frozenset[str] = frozenset()

    def refusal(self, address: str) -> str | None:
        """Why this address may not become a sender, or None."""
        domain = domain_of(address)
        if not self.primary_domains or domain in self.primary_domains:
            return None
        return (
            f"{domain} is none of the primary domains; "
            "POSTFLEET_SENDER_REGISTRY_PRIMARY_DOMAINS names them"
        )
