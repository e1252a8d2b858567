"""Factors that were paused because their senders degraded together: which, why, and on again."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Query

from dispatcher.store.pauses import ACTIVE, Pause, Pauses
from postfleet.api_keys import Scope, require
from postfleet.http import API, decode_cursor, page
from postfleet.instants import now_ms, rfc3339
from postfleet.problems import Problem, not_found


def build_pauses(pauses: Pauses, announce: Callable[[], None]) -> APIRouter:
    router = APIRouter(prefix=f"{API}/pauses", tags=["pauses"])

    @router.get("", dependencies=[require(Scope.READ)])
    async def list_all(
        limit: int = Query(50, ge=1, le=500), cursor: str | None = None
    ) -> dict[str, Any]:
        """Those that last, and those that were resumed."""
        found = await pauses.page(decode_cursor(cursor) if cursor else None, limit + 1)
        return page([_shown(pause) for pause in found], limit)

    @router.post("/{pause_id}/resume", dependencies=[require(Scope.SEND)])
    async def resume(pause_id: str) -> dict[str, Any]:
        """Let its mail go again. Only trouble that is met from now on pauses it once more."""
        found = await pauses.get(pause_id)
        if found is None:
            raise not_found("pause", pause_id)
        if not await pauses.resume(pause_id, now_ms()):
            raise Problem(409, "WRONG_STATE", f"the {found.factor.kind} is not paused any more")
        announce()
        after = await pauses.get(pause_id)
        return _shown(after or found)

    return router


def _shown(pause: Pause) -> dict[str, Any]:
    return {
        "id": pause.factor.id,
        "kind": pause.factor.kind.value,
        "value": pause.factor.value,
        "status": "paused" if pause.state == ACTIVE else "resumed",
        "trouble": pause.trouble,
        "reason": pause.reason,
        "senders": list(pause.senders),
        "paused_at": rfc3339(pause.paused_at),
        "resumed_at": rfc3339(pause.resumed_at),
    }
