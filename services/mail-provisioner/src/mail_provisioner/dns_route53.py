"""Route 53 through octoDNS, where boto3 is installed (the extra `route53`)."""

from collections.abc import Callable
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from octodns.provider import ProviderException
from octodns_route53 import Route53Provider

from mail_provisioner.dns_texts import text_of
from mail_provisioner.dns_update import ChangedMeanwhile

_SECONDS: Final = 15
_DENIED: Final = {"AccessDenied", "InvalidClientTokenId", "SignatureDoesNotMatch"}


class CredentialsDenied(ProviderException):  # type: ignore[misc]
    """The key is unknown, or may not do this."""


def translated(act: Callable[[], Any]) -> Any:
    """What `act` returns. Raises CredentialsDenied, ChangedMeanwhile, ProviderException."""
    try:
        return act()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _DENIED:
            raise CredentialsDenied(str(error)) from None
        if code == "InvalidChangeBatch":
            raise ChangedMeanwhile(str(error)) from None
        raise ProviderException(str(error)) from None
    except BotoCoreError as error:
        raise ProviderException(str(error)) from None


class Route53(Route53Provider):  # type: ignore[misc]
    def __init__(self, name: str, key_id: str, key: str, url: str) -> None:
        self._url = url
        super().__init__(name, access_key_id=key_id, secret_access_key=key, root_ns_warnings=False)

    def client(
        self, service_name: str, access_key_id: str, secret_access_key: str, **_: Any
    ) -> Any:
        return boto3.client(
            service_name,
            region_name="us-east-1",  # Route 53 is one for the world
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key,
            endpoint_url=self._url or None,
            config=Config(
                connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"max_attempts": 2}
            ),
        )

    def _mod_Update(
        self, change: Any, zone_id: str, existing_rrsets: Any, collection_id: str | None = None
    ) -> Any:
        """Deletes the set as it was read and makes the new one, in one batch.

        Values that stay are sent as they came, to the letter. Route 53 refuses the batch if the set
        has changed since; octoDNS's own UPSERT would win.
        """
        (made,) = self._gen_mods(
            "CREATE", self._gen_records(change.new, zone_id, creating=True), existing_rrsets
        )
        new = made["ResourceRecordSet"]
        (old,) = (
            r for r in existing_rrsets if (r["Name"], r["Type"]) == (new["Name"], new["Type"])
        )
        raw = {text_of(each["Value"]): each for each in old["ResourceRecords"]}
        new["ResourceRecords"] = [
            raw.get(text_of(each["Value"]), each) for each in new["ResourceRecords"]
        ]
        return [{"Action": "DELETE", "ResourceRecordSet": old}, made]

    def _gc_health_checks(self, record: Any, new: Any) -> None:
        """Mail needs none; whose are there is not ours to judge."""
