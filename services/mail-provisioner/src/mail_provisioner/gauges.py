"""What the provisioner measures of itself beside what every service does."""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge

from mail_provisioner.domain.checks import CheckState
from mail_provisioner.domain.domains import Domain

CHECKS = ("outbound_25", "ptr", "dnsbl", "mx", "spf", "dkim", "dmarc", "tls")

domains = Gauge("postfleet_domains", "Domains by state", ["state"])
domain_checks = Gauge(
    "postfleet_domain_checks", "Verified domains by check and what it found", ["check", "state"]
)
looks = Counter("postfleet_domain_looks_total", "Looks at a domain's records and mail server")


def show(known: Iterable[Domain]) -> None:
    """Count them anew."""
    domains.clear()
    for check in CHECKS:
        for state in CheckState:
            domain_checks.labels(check, state.value).set(0)
    for domain in known:
        domains.labels(domain.state.value).inc()
        for check in CHECKS:
            if state_now := domain.checks.get(check):
                domain_checks.labels(check, state_now).inc()
