"""Errors of the HTTP API: `application/problem+json` (RFC 9457) with `code` and, for input, `errors`."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException

from postfleet.bus import NotConfirmed, Unavailable


@dataclass(frozen=True, slots=True)
class FieldError:
    """`field` is a path such as `steps.0.subject`; `message` names the remedy."""

    field: str
    code: str
    message: str


class Problem(Exception):
    """Raised by any handler; becomes the response."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers, self.extra = tuple(errors), headers, extra

    def response(self) -> JSONResponse:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }
        if self.errors:
            body["errors"] = [
                {"field": e.field, "code": e.code, "message": e.message} for e in self.errors
            ]
        return JSONResponse(
            body, self.status, headers=self.headers, media_type="application/problem+json"
        )


def not_found(what: str, id_: str) -> Problem:
    return Problem(404, "NOT_FOUND", f"there is no {what} {id_!r}")


def invalid(field: str, code: str, message: str) -> Problem:
    """A 422 for one field."""
    return Problem(422, "INVALID", f"{field}: {message}", [FieldError(field, code, message)])


def _from_validation(error: RequestValidationError) -> Problem:
    fields = []
    for problem in error.errors():
        where = [str(part) for part in problem["loc"] if part not in ("body", "query", "path")]
        fields.append(FieldError(".".join(where) or "body", problem["type"], problem["msg"]))
    return Problem(422, "INVALID", f"{fields[0].field}: {fields[0].message}", fields)


_CODES = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


def install(app: FastAPI) -> None:
    """Make every error of this app a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, problem: Problem) -> JSONResponse:
        return problem.response()

    @app.exception_handler(RequestValidationError)
    async def _validation(_: Request, error: RequestValidationError) -> JSONResponse:
        return _from_validation(error).response()

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, f"HTTP_{error.status_code}")
        return Problem(error.status_code, code, str(error.detail)).response()

    for dependency in (PyMongoError, NotConfirmed, Unavailable):

        @app.exception_handler(dependency)
        async def _unavailable(_: Request, error: Exception) -> JSONResponse:
            what = "database" if isinstance(error, PyMongoError) else "message bus"
            return Problem(
                503,
                "UNAVAILABLE",
                f"the {what} does not answer; try again",
                (),
                {"Retry-After": "2"},
            ).response()
