"""The keys that sign: in the mail server's volume, and changed without a mail that fails."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from tests.support.knot import Knot
from tests.support.provisioner import Service, Start

pytestmark = pytest.mark.skipif(bool(Knot.missing()), reason=Knot.missing() or "")
CONFIGURATION = "rspamd/override.d/dkim_signing.conf"


@pytest.fixture
def knot() -> Iterator[Knot]:
    with Knot({"one.test": ""}) as knot:
        yield knot


@pytest.fixture
async def service(start: Start, knot: Knot) -> AsyncIterator[Service]:
    async with start(**knot.settings) as service:
        yield service


async def own(service: Service) -> None:
    await service.post("/domains", name="one.test", dkim_selector="first")
    await service.post("/domains/one.test/apply")
    await service.post("/domains/one.test/verify")
    await service.post("/domains/one.test/apply")


def published_key(service: Service, selector: str) -> str:
    """What the public key of the file in the volume looks like in a record."""
    pem = (service.config / f"rspamd/dkim/one.test.{selector}.private").read_bytes()
    public = load_pem_private_key(pem, None).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={b64encode(der).decode()}"


async def signs_with(service: Service, selector: str) -> None:
    async def written() -> bool:
        return f'selector = "{selector}"' in "\n".join(service.lines(CONFIGURATION))

    await service.eventually(written)


@pytest.mark.seed("S149", "S150", "S151", "C22")
async def test_the_key_of_a_verified_domain_is_in_the_volume_and_in_the_dns(
    service: Service, knot: Knot
) -> None:
    await own(service)
    await signs_with(service, "first")
    path = service.config / "rspamd/dkim/one.test.first.private"
    assert path.stat().st_mode & 0o777 == 0o640
    assert knot.texts("first._domainkey.one.test") == [published_key(service, "first")]
    text = "\n".join(service.lines(CONFIGURATION))
    assert 'path = "/tmp/docker-mailserver/rspamd/dkim/one.test.first.private"' in text


async def test_an_unverified_domain_does_not_sign(service: Service) -> None:
    await service.post("/domains", name="other.test", dkim_selector="other")
    await own(service)
    await signs_with(service, "first")
    assert "other.test" not in "\n".join(service.lines(CONFIGURATION))


async def test_a_configuration_by_hand_is_left_alone(service: Service) -> None:
    path = service.config / CONFIGURATION
    path.parent.mkdir(parents=True)
    path.write_text("enabled = false;\n")
    await own(service)
    with pytest.raises(TimeoutError):
        await signs_with_soon(service)
    assert path.read_text() == "enabled = false;\n"
    path.unlink()
    await signs_with(service, "first")


async def signs_with_soon(service: Service) -> None:
    async with asyncio.timeout(3):
        await signs_with(service, "first")


@pytest.mark.seed("S152")
async def test_a_new_key_signs_only_once_the_world_can_see_it_and_the_old_record_stays(
    service: Service, knot: Knot, monkeypatch: pytest.MonkeyPatch
) -> None:
    await own(service)
    await signs_with(service, "first")
    path = "/domains/one.test/dkim"
    early = await service.post(f"{path}/activate")
    assert (early.status_code, early.json()["code"]) == (409, "NO_NEXT_KEY")
    again = await service.post(f"{path}/rotate", selector="first")
    assert again.json()["errors"][0]["code"] == "SELECTOR_USED"
    rotated = await service.post(f"{path}/rotate", selector="second")
    assert (rotated.json()["signing"], rotated.json()["next"]) == ("first", "second")
    twice = await service.post(f"{path}/rotate", selector="third")
    assert (twice.status_code, twice.json()["code"]) == (409, "ROTATION_UNDER_WAY")
    unseen = await service.post(f"{path}/activate")
    assert (unseen.status_code, unseen.json()["code"]) == (409, "KEY_NOT_PUBLISHED")
    await signs_with(service, "first")

    await service.post("/domains/one.test/apply")
    activated = (await service.post(f"{path}/activate")).json()
    assert (activated["signing"], activated["next"], activated["old"]) == ("second", None, "first")
    await signs_with(service, "second")
    assert knot.texts("second._domainkey.one.test") == [published_key(service, "second")]
    first = knot.texts("first._domainkey.one.test")
    applied = (await service.post("/domains/one.test/apply")).json()
    assert applied["in_place"] is True
    assert knot.texts("first._domainkey.one.test") == first

    monkeypatch.setattr("mail_provisioner.domain.domains.OLD_KEY_KEPT_MS", -1)
    await service.post("/domains/one.test/apply")
    assert knot.texts("first._domainkey.one.test") == ["v=DKIM1; k=rsa; p="]
