"""/aliases over HTTP, and what catch-alls need."""

import pytest

from tests.support.provisioner import ACCOUNTS, ALIASES, Service


@pytest.mark.seed("S50", "S95")
async def test_an_alias_is_written_announced_and_removed(service: Service) -> None:
    domain = await service.domain()
    alias = f"sales@{domain}"
    targets = ["Ann@Else.test", "bob@else.test", "ann@else.test"]
    made = await service.post("/aliases", alias=f"Sales@{domain}", targets=targets)
    assert made.status_code == 201
    assert made.json()["targets"] == ["ann@else.test", "bob@else.test"]
    assert service.lines(ALIASES) == [f"{alias} ann@else.test,bob@else.test"]
    listed = (await service.http.get(f"/aliases?domain={domain}")).json()
    assert listed["items"] == [made.json()]

    assert (await service.http.delete(f"/aliases/{alias}")).json()["state"] == "deleted"
    assert service.lines(ALIASES) == []
    assert (await service.http.get(f"/aliases/{alias}")).status_code == 404
    events = await service.events(alias, 2)
    assert [e[0] for e in events] == ["alias.created", "alias.deleted"]
    assert events[0][1]["targets"] == ["ann@else.test", "bob@else.test"]


@pytest.mark.seed("S96")
async def test_mailboxes_and_aliases_never_share_a_name(service: Service) -> None:
    domain = await service.domain()
    await service.post("/mailboxes", domain=domain, prefix="ann")
    await service.post("/aliases", alias=f"sales@{domain}", targets=[f"ann@{domain}"])
    conflicts = [
        await service.post("/aliases", alias=f"ann@{domain}", targets=["x@else.test"]),
        await service.post("/mailboxes", domain=domain, prefix="sales"),
        await service.post("/aliases", alias=f"sales@{domain}", targets=["y@else.test"]),
    ]
    assert [(c.status_code, c.json()["code"]) for c in conflicts] == [(409, "ADDRESS_IN_USE")] * 3
    assert service.lines(ALIASES) == [f"sales@{domain} ann@{domain}"]


async def test_an_alias_by_hand_keeps_its_name_from_mailboxes(service: Service) -> None:
    domain = await service.domain()
    service.config.mkdir(exist_ok=True)
    (service.config / ALIASES).write_text(f"info@{domain} x@else.test\n")
    refused = await service.post("/mailboxes", domain=domain, prefix="info")
    assert (refused.status_code, refused.json()["code"]) == (409, "ADDRESS_IN_USE")
    assert service.lines(ACCOUNTS) == []


@pytest.mark.parametrize(
    ("targets", "field", "code"),
    [
        ([], "targets", "too_short"),
        (["x@else.test", "nobody"], "targets.1", "INVALID_ADDRESS"),
        (['"a b"@else.test'], "targets.0", "INVALID_ADDRESS"),
        (["SALES"], "targets.0", "LOOP"),
    ],
)
async def test_bad_targets_are_refused_with_the_field_named(
    service: Service, targets: list[str], field: str, code: str
) -> None:
    domain = await service.domain()
    wanted = [target if target != "SALES" else f"SALES@{domain}" for target in targets]
    refused = await service.post("/aliases", alias=f"sales@{domain}", targets=wanted)
    assert refused.status_code == 422
    assert [(e["field"], e["code"]) for e in refused.json()["errors"]] == [(field, code)]


@pytest.mark.seed("S54")
async def test_beside_a_catch_all_every_mailbox_gets_its_identity_line(service: Service) -> None:
    domain = await service.domain()
    await service.post("/mailboxes", domain=domain, prefix="ann")
    (service.config / ALIASES).write_text(f"@{domain} ann@{domain}\n")
    await service.post("/mailboxes", domain=domain, prefix="bob")
    ann, bob = f"ann@{domain} ann@{domain}", f"bob@{domain} bob@{domain}"
    assert service.lines(ALIASES) == [ann, bob, f"@{domain} ann@{domain}"]
    await service.http.delete(f"/mailboxes/bob@{domain}?confirm=bob@{domain}")
    assert service.lines(ALIASES) == [ann, f"@{domain} ann@{domain}"]
