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

from postfleet.outages import NotConfirmed, Unavailable


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
    if any(
        one["loc"] == ("body",) and isinstance(one.get("input"), bytes) for one in error.errors()
    ):
        # A body that nobody took for JSON: its Content-Type says something else (RFC 9110 §15.5.16).
        detail = "send the body as JSON, with Content-Type: application/json"
        return Problem(415, "UNSUPPORTED_MEDIA_TYPE", detail, headers={"Accept": _JSON})
    fields = []
    for problem in error.errors():
        origin, *where = map(str, problem["loc"])
        if problem["type"] == "json_invalid":  # its place is a character's number
            where = []
        message = problem["msg"].removeprefix("Value error, ")
        fields.append(FieldError(".".join(where) or origin, problem["type"], message))
    return Problem(422, "INVALID", f"{fields[0].field}: {fields[0].message}", fields)


def unavailable(error: Exception) -> Problem:
    """A 503 that says which dependency does not answer, and nothing more of it."""
    what = "database" if isinstance(error, PyMongoError) else "message bus"
    detail = f"the {what} does not answer; try again"
    return Problem(503, "UNAVAILABLE", detail, headers={"Retry-After": "2"})


_JSON = "application/json"
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
        headers = dict(error.headers or {})
        return Problem(error.status_code, code, str(error.detail), headers=headers).response()

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, __: Exception) -> JSONResponse:
        return Problem(500, "INTERNAL", "an error of ours; the log has more").response()

    for dependency in (PyMongoError, NotConfirmed, Unavailable):

        @app.exception_handler(dependency)
        async def _unavailable(_: Request, error: Exception) -> JSONResponse:
            return unavailable(error).response()
