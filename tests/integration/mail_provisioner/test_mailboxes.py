"""/mailboxes over HTTP: files, events, conflicts, crashes, two provisioners at once."""

import asyncio
import errno
import secrets

import pytest

from tests.support.provisioner import ACCOUNTS, Service, Start, opened


async def test_a_mailbox_is_written_announced_and_its_password_only_handed_over_sealed(
    service: Service,
) -> None:
    domain = await service.domain()
    made = await service.post(
        "/mailboxes", domain=domain, prefix="Ann", display_name="Ann A.", request_id="r-1"
    )
    assert made.status_code == 201
    address = f"ann@{domain}"
    assert made.json()["address"] == address
    assert made.json()["state"] == "written"
    (line,) = service.lines(ACCOUNTS)
    assert line.startswith(f"{address}|{{SHA512-CRYPT}}$6$")

    (event,) = await service.events(address, 1)
    assert event[0] == "mailbox.created"
    assert event[1]["request_id"] == "r-1"
    password = opened(await service.secret(address.upper()))
    assert len(password) == 32
    assert opened(await service.secret(address)) == password  # an answer may get lost
    everything = made.text + str(event) + (await service.http.get(f"/mailboxes/{address}")).text
    assert password not in everything
    assert "sealed" not in everything
    assert "$6$" not in everything


async def test_the_secret_of_an_unknown_mailbox_is_refused(service: Service) -> None:
    assert "no mailbox" in (await service.secret("nobody@nowhere.test"))["error"]


async def test_a_mailbox_needs_a_verified_domain(service: Service) -> None:
    name = f"d{secrets.token_hex(5)}.test"
    unknown = await service.post("/mailboxes", domain=name, prefix="ann")
    assert unknown.status_code == 422
    assert unknown.json()["errors"][0]["code"] == "UNKNOWN_DOMAIN"
    await service.post("/domains", name=name)
    for path, body in (
        ("/mailboxes", {"domain": name, "prefix": "ann"}),
        ("/aliases", {"alias": f"a@{name}", "targets": ["x@else.test"]}),
    ):
        refused = await service.post(path, **body)
        assert (refused.status_code, refused.json()["code"]) == (409, "DOMAIN_NOT_VERIFIED")
    assert service.lines(ACCOUNTS) == []


@pytest.mark.seed("S138", "S139", "S140", "S141")
async def test_a_name_against_the_rules_is_refused_with_the_field_named(service: Service) -> None:
    domain = await service.domain()
    cases = [("no-reply", "NAME_HAS_SEPARATOR"), ("x.app", "NAME_RESERVED")]
    cases += [("x" * 65, "LOCAL_PART_TOO_LONG"), ("x" * 201, "NAME_TOO_LONG")]
    for prefix, code in cases:
        mailbox = await service.post("/mailboxes", domain=domain, prefix=prefix)
        alias = await service.post("/aliases", alias=f"{prefix}@{domain}", targets=["x@else.test"])
        for refused, field in ((mailbox, "prefix"), (alias, "alias")):
            assert refused.status_code == 422
            assert [(e["field"], e["code"]) for e in refused.json()["errors"]] == [(field, code)]


async def test_a_mailbox_is_deleted_after_confirmation_and_can_be_made_again(
    service: Service,
) -> None:
    domain = await service.domain()
    address = f"ann@{domain}"
    await service.post("/mailboxes", domain=domain, prefix="ann")
    first = opened(await service.secret(address))
    for query in ("", "?confirm=yes"):
        refused = await service.http.delete(f"/mailboxes/{address}{query}")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "confirm")
    assert len(service.lines(ACCOUNTS)) == 1

    deleted = await service.http.delete(f"/mailboxes/{address}?confirm={address}")
    assert (deleted.status_code, deleted.json()["state"]) == (200, "deleted")
    assert service.lines(ACCOUNTS) == []
    assert (await service.http.get(f"/mailboxes/{address}")).status_code == 404
    assert "error" in await service.secret(address)

    assert (await service.post("/mailboxes", domain=domain, prefix="ann")).status_code == 201
    assert opened(await service.secret(address)) != first
    events = await service.events(address, 3)
    assert [e[0] for e in events] == ["mailbox.created", "mailbox.deleted", "mailbox.created"]
    assert len({e[2] for e in events}) == 3


async def test_a_password_changed_by_hand_does_not_save_a_mailbox_from_deletion(
    service: Service,
) -> None:
    domain = await service.domain()
    address = f"ann@{domain}"
    await service.post("/mailboxes", domain=domain, prefix="ann")
    (service.config / ACCOUNTS).write_text(f"# mine\n{address}|{{SHA512-CRYPT}}$6$by$hand\n")
    await service.http.delete(f"/mailboxes/{address}?confirm={address}")
    assert service.lines(ACCOUNTS) == ["# mine"]


async def test_a_hand_made_mailbox_is_neither_overwritten_nor_deleted(service: Service) -> None:
    domain = await service.domain()
    address = f"ann@{domain}"
    by_hand = f"{address}|{{SHA512-CRYPT}}$6$by$hand\n"
    service.config.mkdir(exist_ok=True)
    (service.config / ACCOUNTS).write_text(by_hand)
    refused = await service.post("/mailboxes", domain=domain, prefix="ann")
    assert (refused.status_code, refused.json()["code"]) == (409, "ADDRESS_IN_USE")
    (event,) = await service.events(address, 1)
    assert (event[0], event[1]["code"]) == ("mailbox.failed", "ADDRESS_IN_USE")
    await service.http.delete(f"/mailboxes/{address}?confirm={address}")
    assert (service.config / ACCOUNTS).read_text() == by_hand


async def test_a_broken_file_is_reported_with_its_line_and_left_alone(service: Service) -> None:
    domain = await service.domain()
    broken = "# mine\nbob@one.test {PLAIN}x\n"
    service.config.mkdir(exist_ok=True)
    (service.config / ACCOUNTS).write_text(broken)
    refused = await service.post("/mailboxes", domain=domain, prefix="ann")
    assert (refused.status_code, refused.json()["code"]) == (409, "CONFIG_FILE_BROKEN")
    assert f"{ACCOUNTS}, line 2" in refused.json()["detail"]
    assert (service.config / ACCOUNTS).read_text() == broken
    assert [e[0] for e in await service.events(f"ann@{domain}", 1)] == ["mailbox.failed"]

    (service.config / ACCOUNTS).write_text("# mine\nbob@one.test|{PLAIN}x\n")  # mended
    assert (await service.post("/mailboxes", domain=domain, prefix="ann")).status_code == 201
    assert [line.partition("|")[0] for line in service.lines(ACCOUNTS)] == [
        "# mine", "bob@one.test", f"ann@{domain}",
    ]  # fmt: skip


async def test_a_full_disk_keeps_the_old_file_and_the_mailbox_comes_when_there_is_room(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mail_provisioner.domain.addresses._RETRY_SECONDS", (1,))
    domain = await service.domain()
    await service.post("/mailboxes", domain=domain, prefix="old")
    before = service.lines(ACCOUNTS)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("mail_provisioner.volume.os.fsync", full)
        made = await service.post("/mailboxes", domain=domain, prefix="new")
        assert made.status_code == 201
        assert made.json()["state"] == "requested"
        assert made.json()["error"]["code"] == "CONFIG_NOT_WRITABLE"
        assert service.lines(ACCOUNTS) == before

    async def written() -> bool:
        answer = await service.http.get(f"/mailboxes/new@{domain}")
        return answer.json()["state"] == "written"

    await service.eventually(written)
    assert len(service.lines(ACCOUNTS)) == 2


async def test_a_crash_between_file_and_database_is_finished_by_the_next_start(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mail_provisioner.claims.STEP_LEASE_MS", 300)

    async def crash(*_: object, **__: object) -> bool:
        raise Killed

    async with start() as service:
        domain = await service.domain()
        address = f"ann@{domain}"
        monkeypatch.setattr("mail_provisioner.store.AddressStore.enter", crash)
        monkeypatch.setattr("mail_provisioner.store.AddressStore.claim_due", _nothing_due)
        with pytest.raises(Killed):
            await service.post("/mailboxes", domain=domain, prefix="ann")
        written = service.lines(ACCOUNTS)
        assert len(written) == 1
        assert (await service.http.get(f"/mailboxes/{address}")).json()["state"] == "requested"
    monkeypatch.undo()

    async with start() as service:

        async def finished() -> bool:
            answer = await service.http.get(f"/mailboxes/{address}")
            return answer.json()["state"] == "written"

        await service.eventually(finished)
        assert service.lines(ACCOUNTS) == written
        assert [e[0] for e in await service.events(address, 1)] == ["mailbox.created"]


class Killed(Exception):
    """As if the process ended here."""


async def _nothing_due(*_: object, **__: object) -> list[str]:
    return []


async def test_two_provisioners_at_once_lose_nothing(start: Start) -> None:
    async with start() as one, start() as two:
        domain = await one.domain()
        answers = await asyncio.gather(
            *(
                service.post("/mailboxes", domain=domain, prefix=f"{name}{number}")
                for name, service in (("a", one), ("b", two))
                for number in range(8)
            ),
            *(service.post("/mailboxes", domain=domain, prefix="same") for service in (one, two)),
        )
        assert sorted(answer.status_code for answer in answers) == [201] * 17 + [409]
        names = [line.partition("@")[0] for line in one.lines(ACCOUNTS)]
        expected = [*(f"{name}{number}" for name in "ab" for number in range(8)), "same"]
        assert sorted(names) == expected


async def test_mailboxes_are_listed_in_pages(service: Service) -> None:
    domain = await service.domain()
    for prefix in ("c", "a", "b"):
        await service.post("/mailboxes", domain=domain, prefix=prefix)
    first = (await service.http.get(f"/mailboxes?domain={domain}&limit=2")).json()
    assert [item["address"] for item in first["items"]] == [f"a@{domain}", f"b@{domain}"]
    query = f"?domain={domain}&limit=2&cursor={first['next_cursor']}"
    second = (await service.http.get(f"/mailboxes{query}")).json()
    assert [item["address"] for item in second["items"]] == [f"c@{domain}"]
    assert second["next_cursor"] is None
