"""Whom no campaign may mail: one by one, and as CSV."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from dispatcher.api.bodies import SuppressionBody
from dispatcher.domain.import_progress import Tally
from dispatcher.domain.lead_rows import UnusableFile
from dispatcher.domain.suppression import Kind, entry_of, neutralised
from dispatcher.domain.suppressions_csv import EntryReader, EntryRow
from dispatcher.store.suppressions import StillToBeSaid, Suppression, Suppressions
from dispatcher.suppressing import Suppressing
from postfleet.addresses import InvalidAddress
from postfleet.api_keys import Scope, require
from postfleet.http import API, decode_cursor, page
from postfleet.instants import rfc3339
from postfleet.problems import FieldError, Problem, invalid, not_found

_COLUMNS = ("entry", "kind", "reason", "source", "created_at")
_PASS = 1000


def build_suppressions(suppressions: Suppressions, suppressing: Suppressing) -> APIRouter:
    router = APIRouter(prefix=f"{API}/suppressions", tags=["suppressions"])

    @router.post("", status_code=201, dependencies=[require(Scope.SEND)])
    async def add(body: SuppressionBody) -> dict[str, Any]:
        """Suppress an `address`, or a whole `domain`; `entry` is either, a domain as `@example.com`."""
        entry = _whom(body)
        if not await suppressing.add(entry, body.reason, body.source, body.kind):
            raise Problem(409, "EXISTS", f"{entry} is suppressed already")
        shown = {"kind": body.kind.value, "reason": body.reason, "source": body.source}
        return {"id": entry, "entry": entry, **_parted(entry), **shown}

    @router.get("", dependencies=[require(Scope.READ)])
    async def list_all(
        limit: int = Query(50, ge=1, le=500),
        cursor: str | None = None,
        kind: Kind | None = None,
        type_: Annotated[Literal["address", "domain"] | None, Query(alias="type")] = None,
        q: Annotated[str, Query(max_length=254)] = "",
        address: Annotated[str | None, Query(max_length=254)] = None,
        domain: Annotated[str | None, Query(max_length=254)] = None,
    ) -> dict[str, Any]:
        """In the order of the entries; `q` is how they begin, `type=domain` shows domains only.

        `address` or `domain` asks for the one entry of that name.
        """
        if address is not None or domain is not None:
            entry = _whom(SuppressionBody.model_construct(address=address, domain=domain))
            named = await suppressions.page(None, 1, kind, entry)  # what begins so sorts after it
            return page([_shown(one) for one in named if one.entry == entry], limit)
        prefix = f"@{q.removeprefix('@')}" if type_ == "domain" else q
        after = decode_cursor(cursor) if cursor else None
        if type_ == "address" and not prefix:
            after = max(after or "", "A")  # domains begin with an @, which comes before
        found = await suppressions.page(after, limit + 1, kind, prefix.lower())
        return page([_shown(one) for one in found], limit)

    @router.get("/export", dependencies=[require(Scope.READ)])
    async def export(kind: Kind | None = None) -> Response:
        """All of them as CSV; a cell that a spreadsheet would run as a formula begins with a `'`."""
        headers = {"Content-Disposition": 'attachment; filename="suppressions.csv"'}
        return StreamingResponse(
            _csv(suppressions, kind), media_type="text/csv; charset=utf-8", headers=headers
        )

    @router.post("/import", dependencies=[require(Scope.SEND)])
    async def bring(request: Request) -> dict[str, Any]:
        """Suppress the `entry` (or `email`) of every row of a CSV file, streamed.

        `kind` and `reason` are columns too. Repeating it changes nothing.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/csv":
            raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "send text/csv")
        reader, tally = EntryReader(), Tally()
        try:
            async for piece in request.stream():
                await _take(suppressing, reader.feed(piece), tally)
            await _take(suppressing, reader.finish(), tally)
        except UnusableFile as error:
            errors = [FieldError("body", error.code, str(error))]
            raise Problem(422, "INVALID", str(error), errors, **tally.shown()) from error
        return tally.shown()

    @router.delete("/{entry}", status_code=204, dependencies=[require(Scope.ADMIN)])
    async def remove(entry: str) -> Response:
        """Allow mail again, whatever the reasons were. Leads that were ended stay ended.

        A domain may be written with its @ or without.
        """
        try:
            removed = await suppressions.remove(_entry(entry if "@" in entry else f"@{entry}"))
        except StillToBeSaid as error:
            detail = "its event is being announced; try again"
            raise Problem(503, "UNAVAILABLE", detail, headers={"Retry-After": "1"}) from error
        if not removed:
            raise not_found("suppression", entry)
        return Response(status_code=204)

    return router


async def _take(suppressing: Suppressing, rows: Any, tally: Tally) -> None:
    for row in rows:
        tally.read(row)
        if isinstance(row, EntryRow):
            new = await suppressing.add(row.entry, row.reason, "import", row.kind)
            tally.written(1, int(new))


async def _csv(suppressions: Suppressions, kind: Kind | None) -> AsyncIterator[str]:
    yield _line(*_COLUMNS)
    after = None
    while True:
        found = await suppressions.page(after, _PASS, kind)
        yield "".join(
            _line(
                one.entry,
                reason.value,
                one.reason,
                one.source,
                rfc3339(at) or "",
            )
            for one in found
            for reason, at in one.kinds.items()
        )
        if len(found) < _PASS:
            return
        after = found[-1].entry


def _line(*cells: str) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(map(neutralised, cells))
    return out.getvalue()


def _whom(body: SuppressionBody) -> str:
    field, text = body.named()
    if field == "address" and text.startswith("@"):
        raise invalid("address", "invalid_address", "this is a domain; give it as `domain`")
    return _entry(f"@{text.removeprefix('@')}" if field == "domain" else text, field)


def _entry(text: str, field: str = "entry") -> str:
    try:
        return entry_of(text)
    except InvalidAddress as error:
        raise invalid(field, "invalid_address", str(error)) from error


def _parted(entry: str) -> dict[str, str | None]:
    domain = entry.startswith("@")
    return {"address": None if domain else entry, "domain": entry[1:] if domain else None}


def _shown(one: Suppression) -> dict[str, Any]:
    return {
        "id": one.entry,
        "entry": one.entry,
        **_parted(one.entry),
        "kinds": {kind.value: rfc3339(at) for kind, at in one.kinds.items()},
        "reason": one.reason,
        "source": one.source,
        "created_at": rfc3339(one.created_at),
    }
