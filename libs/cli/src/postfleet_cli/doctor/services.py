"""The services behind the one address: who is ready, whether our key is known, what needs people."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from postfleet_cli.doctor.findings import Finding, ok, skipped, trouble, warning
from postfleet_cli.doctor.machine import date_offset
from postfleet_cli.routes import API

_REMEDIES = {
    "bus": "durables may be missing: run `postfleet bus apply`; look into its log",
    "database": "MongoDB does not answer it: check MONGODB_URL and its user",
}


def look(url: str, api_key: str) -> tuple[list[Finding], float | None]:
    """Everything that answers over HTTP; and by how many seconds its clock is ahead of ours."""
    try:
        with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
            ready = client.get("/readyz")
            ahead = date_offset(ready.headers.get("date"), datetime.now(UTC))
            findings = [_one(s, state) for s, state in ready.json()["services"].items()]
            return [ok("gateway", f"{url} answers"), *findings, *_with_key(client, api_key)], ahead
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
        remedy = "start the platform (`postfleet up`), or set POSTFLEET_URL"
        why = str(error) or type(error).__name__
        return [trouble("gateway", f"{url} does not answer as Postfleet does: {why}", remedy)], None


def _one(service: str, state: Mapping[str, Any]) -> Finding:
    if state["ready"]:
        return ok(service, "ready")
    failing = [name for name, how in (state.get("checks") or {}).items() if how != "ok"]
    remedy = next((_REMEDIES[n] for n in failing if n in _REMEDIES), "look into its log")
    return trouble(service, f"not ready: {', '.join(failing) or state.get('reason', '')}", remedy)


def _with_key(client: httpx.Client, api_key: str) -> list[Finding]:
    if not api_key:
        return [skipped("API key", "none given: set POSTFLEET_API_KEY")]
    headers = {"X-API-Key": api_key}
    answer = client.get(f"{API}/sender-accounts", params={"limit": 100}, headers=headers)
    if answer.status_code in (401, 403):
        remedy = "use the bootstrap key, or one with the scope `read`"
        return [trouble("API key", f"refused with {answer.status_code}", remedy)]
    if not answer.is_success:
        return [
            trouble("API key", f"the registry answers {answer.status_code}", "look into its log")
        ]
    return [
        ok("API key", "known"),
        _senders(answer.json()["items"]),
        *_pauses(client, headers),
        *_domains(client, headers),
    ]


def _senders(senders: list[dict[str, Any]]) -> Finding:
    bad = [s for s in senders if s.get("status") in ("error", "suspended", "restricted")]
    if bad:
        told = f"{len(bad)} of {len(senders)} senders do not send: " + ", ".join(
            f"{s['id']} ({s['status']})" for s in bad[:3]
        )
        return warning("senders", told, "postfleet senders show ID tells why")
    return ok("senders", f"{len(senders)}, none of the first hundred in trouble")


def _pauses(client: httpx.Client, headers: Mapping[str, str]) -> list[Finding]:
    answer = client.get(f"{API}/pauses", headers=headers)
    if not answer.is_success:
        return []
    lasting = [one for one in answer.json()["items"] if one["status"] == "paused"]
    return [
        warning("pauses", f"{one['kind']} {one['value']}: {one['reason']}", "postfleet pauses list")
        for one in lasting
    ] or [ok("pauses", "nothing is paused because its senders degraded together")]


def _domains(client: httpx.Client, headers: Mapping[str, str]) -> list[Finding]:
    """DNS of the sending domains, as the mail-provisioner last saw it."""
    answer = client.get(f"{API}/domains", headers=headers)
    if not answer.is_success:
        return []
    found = answer.json()["items"]
    return [
        warning(
            f"DNS of {d['domain']}", f"is {d['state']}", f"postfleet domains show {d['domain']}"
        )
        for d in found
        if d.get("state") == "degraded"
    ] or [ok("DNS of domains", f"{len(found)} domains, none degraded")]
