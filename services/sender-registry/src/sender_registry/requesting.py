"""Working through sender requests: validation, perhaps an approval, execution."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from postfleet.instants import to_ms
from postfleet.problems import Problem, invalid, not_found
from sender_registry.accounts import Accounts
from sender_registry.domain.requests import Operation, SenderRequest, State, Step, due
from sender_registry.domain.sender import Sender
from sender_registry.forms import NewSender, SenderFields, new_profile, patched_profile
from sender_registry.identity import new_id
from sender_registry.internal import InternalSenders
from sender_registry.request_form import NewRequest
from sender_registry.request_store import RequestStore

_STUCK_MS = 60_000  # an execution that takes longer had its process killed


@dataclass(frozen=True, slots=True)
class Outcome:
    """The request afterwards; the sender and its relay password only where one was made now."""

    request: SenderRequest
    sender: Sender | None = None
    relay_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Requests:
    """The operations on requests. `approval` makes all of them wait for somebody."""

    store: RequestStore
    accounts: Accounts
    internal: InternalSenders
    approval: bool

    async def submit(self, form: NewRequest, by: str, *, may_execute: bool) -> Outcome:
        """Validate, and execute at once unless somebody is to approve it first."""
        now = self.accounts.changes.clock()
        request = SenderRequest(
            id=new_id(),
            operation=form.operation,
            sender_id=form.sender_id or "",
            form=form.plain_json(),
            requested_by=by,
            created_ms=to_ms(now),
            due_ms=to_ms(due(now)),
            state=State.AWAITING_APPROVAL,
        )
        request = await self._validated(request, form)
        await self.store.insert(request)
        if request.state is State.REJECTED or self.approval or not may_execute:
            return Outcome(request)
        return await self._execute(request, form, by)

    async def approve(self, request_id: str, by: str) -> Outcome:
        """Execute what waits, or what a crash interrupted. Raises Problem (404, 409)."""
        request = await self.get(request_id)
        now_ms = self._now_ms()
        stuck = request.state is State.EXECUTING and now_ms - request.executing_ms > _STUCK_MS
        if request.state is not State.AWAITING_APPROVAL and not stuck:
            raise Problem(409, "NOT_WAITING", f"the request is {request.state.value}")
        form = NewRequest.model_validate_json(request.form)
        return await self._execute(request, form, by)

    async def get(self, request_id: str) -> SenderRequest:
        request = await self.store.get(request_id)
        if request is None:
            raise not_found("sender request", request_id)
        return request

    # -- validation ------------------------------------------------------------------------------

    async def _validated(self, request: SenderRequest, form: NewRequest) -> SenderRequest:
        steps = (
            (Step.COMPLETENESS, self._complete),
            (Step.ELIGIBILITY, self._eligible),
            (Step.COMPLIANCE, self._compliant),
        )
        for step, check in steps:
            try:
                await check(form)
            except Problem as problem:
                failed = request.with_step(step, self._now_ms(), _said(problem))
                return replace(failed, state=State.REJECTED)
            request = request.with_step(step, self._now_ms())
        return request

    async def _complete(self, form: NewRequest) -> None:
        if form.operation == "create":
            account = _needed("account", form.account)
            _needed("account.name", account.name)
            _needed("account.monthly_limit", account.monthly_limit)
            if "smtp" in account.access_methods:
                _needed("account.smtp_authentication", account.smtp_authentication)
            return
        _needed("sender_id", form.sender_id)
        if form.operation == "update":
            _needed("changes", form.changes and form.changes.model_fields_set)

    async def _eligible(self, form: NewRequest) -> None:
        if form.operation == "create" and form.account:
            account = form.account
            internal = account.kind == "internal"
            address = f"{account.prefix}@{account.domain}" if internal else account.email_address
            _needed("account.email_address", address)
            await self.accounts.check_eligible(address)
        else:
            await self.accounts.get(form.sender_id or "")

    async def _compliant(self, form: NewRequest) -> None:
        if form.operation == "create" and form.account:
            new_profile(form.account, self.accounts.changes.clock())
            return
        sender = await self.accounts.get(form.sender_id or "")
        if form.operation == "update" and form.changes:
            patched_profile(sender.profile, form.changes)
        elif form.confirm.lower() != sender.profile.email_address.lower():
            message = "repeat the e-mail address of the sender; deletion is irreversible"
            raise invalid("confirm", "NOT_CONFIRMED", message)

    # -- execution -------------------------------------------------------------------------------

    async def _execute(self, request: SenderRequest, form: NewRequest, by: str) -> Outcome:
        claimed = await self.store.save(
            replace(request, state=State.EXECUTING, approved_by=by, executing_ms=self._now_ms())
        )
        if claimed is None:
            raise Problem(409, "IN_PROGRESS", "somebody else executes it")
        run: dict[Operation, Callable[[NewRequest], Awaitable[tuple[Sender, str | None]]]] = {
            "create": self._create,
            "update": self._update,
            "delete": self._delete,
        }
        try:
            sender, password = await run[request.operation](form)
        except Problem as problem:
            if problem.status >= 500:  # it may be tried again
                raise
            failed = claimed.with_step(Step.PROVISIONING, self._now_ms(), _said(problem))
            return Outcome(await self._settled(failed, State.FAILED))
        done = replace(claimed, sender_id=sender.id)
        for step in (Step.PROVISIONING, Step.CONFIGURATION, Step.ACCESS):
            done = done.with_step(step, self._now_ms())
        return Outcome(await self._settled(done, State.COMPLETED), sender, password)

    async def _settled(self, request: SenderRequest, state: State) -> SenderRequest:
        final = replace(request, state=state, form="")
        return await self.store.save(final) or final

    async def _create(self, form: NewRequest) -> tuple[Sender, str | None]:
        account: NewSender = _needed("account", form.account)
        if account.kind == "internal":
            return await self.internal.register(account), None
        done = await self.accounts.register(account)
        return done.sender, done.relay_password

    async def _update(self, form: NewRequest) -> tuple[Sender, str | None]:
        changes: SenderFields = _needed("changes", form.changes)
        return await self.accounts.update(form.sender_id or "", changes)

    async def _delete(self, form: NewRequest) -> tuple[Sender, str | None]:
        sender = await self.accounts.delete(form.sender_id or "", form.confirm)
        await self.internal.gone(sender)
        return sender, None

    def _now_ms(self) -> int:
        return to_ms(self.accounts.changes.clock())


def _needed(name: str, value: Any) -> Any:
    if not value:
        raise invalid(name, "MISSING", "the request is not complete without it")
    return value


def _said(problem: Problem) -> str:
    code = problem.errors[0].code if problem.errors else problem.code
    return f"{code}: {problem.detail}"
