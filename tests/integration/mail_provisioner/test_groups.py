"""/groups and /catch-all over HTTP, and changes of targets."""

import pytest

from tests.support.provisioner import ACCOUNTS, ALIASES, Service, Start


@pytest.mark.seed("S49", "S51", "S64", "S117")
async def test_a_group_is_an_address_that_leads_to_its_members(service: Service) -> None:
    domain = await service.domain()
    address, outside = f"team@{domain}", "zoe@else.test"
    members = [f"ann@{domain}", outside]
    made = await service.post("/groups", address=address.upper(), members=members)
    assert made.status_code == 201
    assert (made.json()["address"], made.json()["members"]) == (address, members)
    assert service.lines(ALIASES) == [f"{address} ann@{domain},{outside}"]
    listed = (await service.http.get(f"/groups?domain={domain}")).json()
    assert listed["items"] == [made.json()]

    changed = await service.http.patch(f"/groups/{address}", json={"members": [outside]})
    assert changed.json()["members"] == [outside]
    assert service.lines(ALIASES) == [f"{address} {outside}"]
    assert (await service.http.delete(f"/groups/{address}")).json()["state"] == "deleted"
    assert service.lines(ALIASES) == []
    events = await service.events(address, 3)
    assert [e[0] for e in events] == ["alias.created", "alias.created", "alias.deleted"]
    assert [e[1].get("targets") for e in events] == [members, [outside], None]


@pytest.mark.seed("S96")
async def test_groups_share_the_names_of_mailboxes_and_aliases(service: Service) -> None:
    domain = await service.domain()
    await service.post("/mailboxes", domain=domain, prefix="ann")
    await service.post("/groups", address=f"team@{domain}", members=[f"ann@{domain}"])
    conflicts = [
        await service.post("/groups", address=f"ann@{domain}", members=["x@else.test"]),
        await service.post("/mailboxes", domain=domain, prefix="team"),
        await service.post("/aliases", alias=f"team@{domain}", targets=["x@else.test"]),
    ]
    assert [(c.status_code, c.json()["code"]) for c in conflicts] == [(409, "ADDRESS_IN_USE")] * 3
    assert (await service.http.get(f"/aliases/team@{domain}")).status_code == 404


@pytest.mark.seed("S54", "S98")
async def test_a_catch_all_has_an_identity_line_for_each_mailbox_above_it(
    service: Service,
) -> None:
    domain = await service.domain()
    for prefix in ("ann", "bob"):
        await service.post("/mailboxes", domain=domain, prefix=prefix)
    both = [f"ann@{domain}", f"bob@{domain}"]
    made = await service.post("/catch-all", domain=domain, targets=both)
    assert (made.status_code, made.json()["targets"]) == (201, both)
    identities = [f"{name} {name}" for name in both]
    assert service.lines(ALIASES) == [*identities, f"@{domain} {','.join(both)}"]
    changed = await service.http.patch(f"/catch-all/{domain}", json={"targets": both[:1]})
    assert changed.json()["targets"] == both[:1]
    assert service.lines(ALIASES) == [*identities, f"@{domain} {both[0]}"]
    again = await service.post("/catch-all", domain=domain, targets=both)
    assert (again.status_code, again.json()["code"]) == (409, "ADDRESS_IN_USE")
    assert (await service.http.delete(f"/catch-all/{domain}")).json()["state"] == "deleted"
    assert service.lines(ALIASES) == identities


async def test_a_line_changed_by_hand_is_neither_overwritten_nor_forgotten(
    service: Service,
) -> None:
    domain = await service.domain()
    await service.post("/groups", address=f"team@{domain}", members=["a@else.test"])
    by_hand = f"team@{domain} a@else.test,mine@else.test\n"
    (service.config / ALIASES).write_text(by_hand)
    path = f"/groups/team@{domain}"
    refused = await service.http.patch(path, json={"members": ["b@else.test"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "CHANGED_BY_HAND")
    assert (service.config / ALIASES).read_text() == by_hand
    assert (await service.http.get(path)).json()["members"] == ["a@else.test"]


async def test_a_change_that_crashed_half_way_is_finished_by_its_repetition(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = await service.domain()
    await service.post("/groups", address=f"team@{domain}", members=["a@else.test"])

    async def crash(*_: object, **__: object) -> bool:
        raise OSError("as if the process ended here")

    path = f"/groups/team@{domain}"
    with monkeypatch.context() as crashing:
        crashing.setattr("mail_provisioner.store.AddressStore.retarget", crash)
        await service.http.patch(path, json={"members": ["b@else.test"]})
    assert service.lines(ALIASES) == [f"team@{domain} b@else.test"]
    changed = await service.http.patch(path, json={"members": ["c@else.test"]})
    assert changed.json()["members"] == ["c@else.test"]
    assert service.lines(ALIASES) == [f"team@{domain} c@else.test"]


async def test_a_circle_of_aliases_is_refused(service: Service) -> None:
    domain = await service.domain()
    await service.post("/groups", address=f"a@{domain}", members=[f"b@{domain}"])
    circle = await service.post("/aliases", alias=f"b@{domain}", targets=[f"a@{domain}"])
    assert (circle.status_code, circle.json()["code"]) == (409, "ADDRESS_IN_USE")
    await service.post("/aliases", alias=f"c@{domain}", targets=["x@else.test"])
    path = f"/aliases/c@{domain}"
    await service.http.patch(f"/groups/a@{domain}", json={"members": [f"c@{domain}"]})
    later = await service.http.patch(path, json={"targets": [f"a@{domain}"]})
    assert later.status_code == 409
    assert f"c@{domain} x@else.test" in service.lines(ALIASES)


@pytest.mark.seed("S44", "S66", "S68")
async def test_a_domain_that_only_sends_has_no_aliases_and_enabling_mail_makes_no_mailbox(
    start: Start,
) -> None:
    async with start() as service:
        domain = await service.domain()
        await service.http.patch(f"/domains/{domain}", json={"mail": "sending"})
        for path, body in (
            ("/aliases", {"alias": f"a@{domain}", "targets": ["x@else.test"]}),
            ("/groups", {"address": f"a@{domain}", "members": ["x@else.test"]}),
            ("/catch-all", {"domain": domain, "targets": ["x@else.test"]}),
        ):
            refused = await service.post(path, **body)
            assert (refused.status_code, refused.json()["code"]) == (409, "MAIL_NOT_ENABLED")
        await service.http.patch(f"/domains/{domain}", json={"mail": "full"})
        assert (await service.post("/catch-all", domain=domain, targets=["x@else.test"])).is_success
        assert service.lines(ACCOUNTS) == []
        assert (await service.http.get(f"/mailboxes?domain={domain}")).json()["items"] == []
