"""octoDNS's providers, each made to touch only what changes, and to end in time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import octodns_cloudflare
import octodns_digitalocean
import requests
from octodns.provider.base import BaseProvider
from octodns.record import Record

from mail_provisioner.dns_texts import text_of, txt

_TIMEOUT: Final = 15.0  # seconds for one request


@dataclass(frozen=True, slots=True)
class Account:
    """An account at a provider. `url`: another place of its API than the provider's own."""

    name: str
    provider: str
    credentials: Mapping[str, str] = field(repr=False)
    url: str = ""


class _Deadline(requests.adapters.HTTPAdapter):
    """Gives requests that have none a time-out."""

    def send(self, request: Any, *_: Any, **options: Any) -> requests.Response:
        return super().send(request, **{**options, "timeout": options.get("timeout") or _TIMEOUT})


class _Cloudflare(octodns_cloudflare.CloudflareProvider):  # type: ignore[misc]
    def __init__(self, account: Account) -> None:
        url = {"api_url": account.url} if account.url else {}
        super().__init__(
            account.name,
            token=account.credentials["token"],
            pagerules=False,
            root_ns_warnings=False,
            retry_count=0,  # it would sleep for minutes, in our thread
            timeout=_TIMEOUT,
            **url,
        )

    def _try_request(self, method: str, path: str, **options: Any) -> Any:
        """Leaves out writes that change nothing: octoDNS writes a set's other values again."""
        if method == "PUT":
            id_ = path.rpartition("/")[2]
            known = [
                r for records in self._zone_records.values() for r in records if r["id"] == id_
            ]
            if known and _meant(known[0]) == _meant(options["data"]):
                return {}
        return super()._try_request(method, path, **options)

    def _contents_for_TXT(self, record: Record) -> Any:
        """In quotes, as Cloudflare itself writes them."""
        for value in record.values:
            yield {"content": txt(text_of(value)).to_text()}


class _DigitalOcean(octodns_digitalocean.DigitalOceanProvider):  # type: ignore[misc]
    def __init__(self, account: Account) -> None:
        super().__init__(account.name, account.credentials["token"], root_ns_warnings=False)
        self._client._sess.mount("https://", _Deadline())
        self._client._sess.mount("http://", _Deadline())
        if account.url:
            self._client.BASE = account.url

    def _apply_Update(self, change: Any) -> None:
        """Adds what is new, then takes away what is gone; octoDNS's own takes the set away first."""
        zone, new = change.new.zone, change.new
        there = [
            r for r in self.zone_records(zone) if (r["name"], r["type"]) == (new.name, new._type)
        ]
        wanted = list(getattr(self, f"_params_for_{new._type}")(new))
        keys = {_key(r) for r in there}
        for params in wanted:
            if _key(params) not in keys:
                self._client.record_create(zone.name[:-1], params)
        keys = {_key(params) for params in wanted}
        for record in there:
            if _key(record) not in keys:
                self._client.record_delete(zone.name[:-1], record["id"])


def _key(record: Mapping[str, Any]) -> tuple[Any, str]:
    return record.get("priority"), text_of(record["data"]).rstrip(".")


def _meant(record: Mapping[str, Any]) -> tuple[Any, str]:
    return record.get("priority"), text_of(record["content"]).rstrip(".")


PROVIDERS: Final[Mapping[str, Callable[[Account], BaseProvider]]] = {
    "cloudflare": _Cloudflare,
    "digitalocean": _DigitalOcean,
}
