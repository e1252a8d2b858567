"""/filters: answers of absence, forwarding and moves, as a Sieve script on the mail server."""

import unicodedata
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, Any, Literal, Self, TypeVar

from fastapi import APIRouter
from pydantic import Field, field_validator, model_validator

from mail_provisioner.api.paging import Cursor, Limit, start_of
from mail_provisioner.api.targets import checked
from mail_provisioner.claims import known
from mail_provisioner.domain.addresses import Address, Kind, State
from mail_provisioner.domain.config_lines import BrokenFile
from mail_provisioner.domain.filters import NAME, Condition, Filters, Rule, Vacation, as_json
from mail_provisioner.filter_store import FilterStore
from mail_provisioner.forwarding import way_back
from mail_provisioner.login import LoginRefused, MailServerUnreachable
from mail_provisioner.sieve import FilterScripts, ScriptRefused, ScriptTaken, Standing
from mail_provisioner.store import AddressStore
from mail_provisioner.volume import VolumeBusy
from postfleet.addresses import check_text
from postfleet.api_keys import Scope, require
from postfleet.http import API, Strict, page
from postfleet.instants import from_ms, iso, now_ms
from postfleet.problems import Problem, invalid

T = TypeVar("T")

_AGAIN = {"Retry-After": "10"}
_LINE_BREAKS = "\r\n\t"
Line = Annotated[str, Field(min_length=1, max_length=500)]
Names = Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=20)]
#: Dovecot's sieve_max_redirects is 4: one more, and it keeps the mail and forwards it to nobody
ForwardTo = Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=4)]


class ConditionWish(Strict):
    header: str = Field(pattern=r"^[!-9;-~]{1,76}$")  # ftext (RFC 5322 §3.6.8)
    text: Line
    match: Literal["contains", "is", "matches"] = "contains"

    _one_line = field_validator("text")(check_text)


class RuleWish(Strict):
    """`keep`: whether forwarded mail stays as well. Without a condition it is for all mail."""

    conditions: list[ConditionWish] = Field(default_factory=list, max_length=20)
    move_to: str = Field("", max_length=200)
    forward_to: ForwardTo = Field(default_factory=list)
    keep: bool = True
    stop: bool = False

    _one_line = field_validator("move_to")(check_text)

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.move_to or self.forward_to or self.stop):
            raise ValueError("say what to do: move_to, forward_to or stop")
        return self


class VacationWish(Strict):
    """`addresses`: the mailbox's other names, whose mail is answered too."""

    text: str = Field(min_length=1, max_length=10_000)
    subject: str = Field("", max_length=200)
    days: int = Field(7, ge=1, le=365)
    addresses: Names = Field(default_factory=list)
    first_day: date | None = Field(None, strict=False)
    last_day: date | None = Field(None, strict=False)
    utc_offset: str = Field("+0000", pattern=r"^[+-](0\d|1[0-4])[0-5]\d$")

    _one_line = field_validator("subject")(check_text)

    @field_validator("text")
    @classmethod
    def _check_text(cls, value: str) -> str:
        for character in value:
            if unicodedata.category(character) in {"Cc", "Cs"} and character not in _LINE_BREAKS:
                raise ValueError(f"the control character U+{ord(character):04X} is not allowed")
        return value.replace("\r\n", "\n").replace("\r", "\n")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise ValueError("last_day is before first_day")
        return self


class FiltersWish(Strict):
    """`other_script`: what to do where a person's own script is active: `include` runs it first."""

    rules: list[RuleWish] = Field(default_factory=list, max_length=100)
    vacation: VacationWish | None = None
    other_script: Literal["refuse", "include"] = "refuse"

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if not self.rules and self.vacation is None:
            raise ValueError("give rules or a vacation; to have none, DELETE the filters")
        return self


class NewFilters(FiltersWish):
    mailbox: str = Field(max_length=1000)


def build(store: FilterStore, addresses: AddressStore, scripts: FilterScripts | None) -> APIRouter:
    router = APIRouter(prefix=f"{API}/filters", tags=["filters"])

    @router.post("", status_code=201, dependencies=[require(Scope.ADMIN)])
    async def create(wanted: NewFilters) -> dict[str, Any]:
        """The first filters of a mailbox; PUT changes them."""
        mailbox = await _usable(addresses, wanted.mailbox)
        if await store.get(mailbox.address) is not None:
            raise Problem(409, "FILTERS_EXIST", f"{mailbox.address} has filters: PUT changes them")
        return await put(mailbox.address, wanted)

    @router.get("", dependencies=[require(Scope.READ)])
    async def many(domain: str = "", limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        """As last written here; GET of one asks the mail server."""
        found = await store.page(domain.lower(), start_of(cursor), limit + 1)
        return page([_shown(name, wish, written_at=at) for name, wish, at in found], limit)

    @router.get("/{mailbox}", dependencies=[require(Scope.READ)])
    async def one(mailbox: str) -> dict[str, Any]:
        """What the mail server has.

        `state`: `none`, `active`, `inactive` (another script is active), or `changed_by_hand`.
        """
        box = await _usable(addresses, mailbox)
        there = await _tried(scripts, lambda server: server.look(box.address))
        return _shown(box.address, there.filters, there)

    @router.put("/{mailbox}", dependencies=[require(Scope.ADMIN)])
    async def put(mailbox: str, wanted: FiltersWish) -> dict[str, Any]:
        """Let the mailbox have these filters and no others of ours; safe to repeat.

        The mail server checks the script before anything is replaced. A script that a person made
        is never overwritten.
        """
        box = await _usable(addresses, mailbox)
        wish = _wish(wanted, box.address)
        if target := await way_back(addresses, store, box.address, sorted(wish.forwards)):
            field = _place_of(wanted, target)
            raise invalid(field, "LOOP", f"mail for {target} comes back to {box.address}")
        include = wanted.other_script == "include"
        written = await _tried(
            scripts, lambda server: server.replace(box.address, wish, include=include)
        )
        at = now_ms()
        await store.remember(box.address, written, at)
        return {**_shown(box.address, written, written_at=at), "state": "active"}

    @router.delete("/{mailbox}", dependencies=[require(Scope.ADMIN)])
    async def delete(mailbox: str) -> dict[str, Any]:
        """Take them away; a person's script that ran first is active again."""
        box = await _usable(addresses, mailbox)
        await _tried(scripts, lambda server: server.remove(box.address))
        await store.forget(box.address)
        return {"id": box.address, "mailbox": box.address, "state": "deleted"}

    return router


async def _usable(store: AddressStore, name: str) -> Address:
    box = await known(store, Kind.MAILBOX, name)
    if box.state not in (State.WRITTEN, State.LIVE):
        raise Problem(409, "MAILBOX_NOT_READY", f"{box.address} is {box.state}", (), _AGAIN)
    return box


async def _tried(scripts: FilterScripts | None, act: Callable[[FilterScripts], Awaitable[T]]) -> T:
    if scripts is None:
        raise Problem(
            409,
            "NO_MAIL_SERVER",
            "no mail server is named: set POSTFLEET_MAIL_PROVISIONER_MAIL_HOST",
        )
    try:
        return await act(scripts)
    except ScriptTaken as error:
        raise Problem(409, error.code, str(error)) from error
    except ScriptRefused as error:
        raise Problem(422, "SCRIPT_REFUSED", f"the mail server says: {error}") from error
    except LoginRefused as error:
        raise Problem(
            503,
            "MASTER_LOGIN_REFUSED",
            "the mail server does not let us act for the mailbox: it has to read our account in "
            f"dovecot-masters.cf, which we wrote ({error})",
            (),
            _AGAIN,
        ) from error
    except (MailServerUnreachable, OSError, VolumeBusy, BrokenFile) as error:
        raise Problem(
            503, "MAIL_SERVER_UNREACHABLE", f"the mail server: {error}", (), _AGAIN
        ) from error


def _wish(wanted: FiltersWish, mailbox: str) -> Filters:
    rules = tuple(
        Rule(
            tuple(Condition(c.header, c.text, c.match) for c in rule.conditions),
            rule.move_to,
            checked(rule.forward_to, mailbox, f"rules.{number}.forward_to"),
            rule.keep,
            rule.stop,
        )
        for number, rule in enumerate(wanted.rules)
    )
    vacation = None
    if wanted.vacation:
        given = wanted.vacation.model_dump()
        given["addresses"] = checked(given["addresses"], "", "vacation.addresses")
        vacation = Vacation(**given)
    return Filters(rules, vacation)


def _place_of(wanted: FiltersWish, target: str) -> str:
    for number, rule in enumerate(wanted.rules):
        for place, given in enumerate(checked(rule.forward_to, "", "")):
            if given == target:
                return f"rules.{number}.forward_to.{place}"
    return "rules"


def _shown(
    name: str, wish: Filters | None, there: Standing | None = None, written_at: int = 0
) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": name, "mailbox": name}
    shown |= as_json(wish) if wish else {"rules": [], "vacation": None, "runs_first": ""}
    if there:
        shown["state"] = _state(there)
        shown["active_script"] = there.active
    if written_at:
        shown["written_at"] = iso(from_ms(written_at))
    return shown


def _state(there: Standing) -> str:
    if there.ours is None:
        return "none"
    if there.edited:
        return "changed_by_hand"
    return "active" if there.active == NAME else "inactive"
