"""The one table between statuses and HTTP, and every error as a problem document (RFC 9457)."""

import http

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from grpc import StatusCode
from grpc.aio import AioRpcError
from starlette.exceptions import HTTPException

from gateway.incoming import media_of, packed_by
from servicekit import errors, statuses
from servicekit.logging import get_logger

log = get_logger()

HTTP_OF = {
    StatusCode.INVALID_ARGUMENT: 422,
    StatusCode.OUT_OF_RANGE: 416,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.FAILED_PRECONDITION: 409,
    StatusCode.ABORTED: 409,
    StatusCode.CANCELLED: 409,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}  # anything else is 500
HTTP_OF_REASON = {
    "QUOTA_EXCEEDED": 507,
    "BACKEND_FULL": 507,
    "STORE_FULL": 507,
    "DISK_FULL": 507,
    "SCRATCH_FULL": 507,
    "FILE_TOO_LARGE": 413,
    "OBJECT_TOO_LARGE": 413,
    "FILE_GONE": 410,
    "TICKET_SPENT": 410,
    "TOO_MUCH_TO_PREDICT": 413,
    "MEDIA_UNFIT": 415,
    "CONTENT_ENCODING_UNFIT": 415,
    "CHARSET_UNKNOWN": 415,
    "NOT_JSON": 415,
}
"""Where the reason says more than the status."""

SIGNED_PATHS = ("files", "uploads")
INFERENCE = "/v2"
"""Where the Open Inference Protocol is spoken, which has a shape of its own for errors: {"error": sentence}."""

NO_JSON = "The body cannot be used (body: it is no JSON in UTF-8). /docs describes what is expected."
UNFORESEEN = "Something went wrong that we did not foresee; the gateway's log tells more."


class PeerDown(errors.Unavailable):
    """A service that this needs cannot be reached. Try again in a moment; /readyz tells which one it is."""


class NotJson(errors.InvalidInput):
    """What is asked here comes as JSON, and the body says that it is {given}. Send it with the Content-Type
    application/json, and without Content-Encoding."""

    field = "Content-Type"


class PeerRefuses(errors.Unavailable):
    """A service behind this gateway does not know it. Whoever runs this Modelyard must give all of its processes the
    same MODELYARD_SERVICE_TOKEN."""


def problem(
    status: int,
    code: str,
    message: str,
    retryable: bool = False,
    field: str = "",
    after_seconds: int = errors.RETRY_AFTER_SECONDS,
) -> Response:
    """A problem document, as RFC 9457 has it, that also carries `error{code, message, retryable}`."""
    status = HTTP_OF_REASON.get(code, status)
    body = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "error": {"code": code, "message": message, "retryable": retryable},
    }
    if field:
        body["errors"] = [{"field": field, "detail": message}]
    headers = {"Retry-After": str(after_seconds)} if retryable else {}
    if status == http.HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(body), status, headers, "application/problem+json")


def of_problem(raised: errors.Problem) -> Response:
    """The document of an error that the gateway raised itself."""
    code = statuses.code_of(raised)
    status, retryable = HTTP_OF.get(code, 500), statuses.may_pass(raised)
    return problem(status, raised.reason, raised.message, retryable, raised.field, raised.after_seconds)


def of_status(raised: AioRpcError) -> Response:
    """The document of an error that a service answered with, or of a service that did not answer."""
    if statuses.was_broken_off(raised):
        return of_problem(PeerDown())  # from the transport, whose own words help nobody
    if raised.code() is StatusCode.UNAUTHENTICATED:  # it is the gateway that has no place there, not its caller here
        return of_problem(PeerRefuses())
    status = HTTP_OF.get(raised.code(), 500)
    message = (raised.details() or "") if status != 500 or raised.code() is StatusCode.DATA_LOSS else UNFORESEEN
    reason, field = statuses.reason_of(raised), statuses.field_of(raised)
    retryable = statuses.is_transient(raised)
    return problem(status, reason, message, retryable, field, statuses.after_seconds(raised))


def shown_path(request: Request) -> str:
    """The path as it may be logged: a signed address is a secret while it works."""
    first = request.url.path.lstrip("/").partition("/")[0]
    return f"/{first}/***" if first in SIGNED_PATHS else request.url.path


def told(request: Request, document: Response) -> Response:
    """A problem document as the path that was asked tells of errors."""
    path = request.url.path
    if path != INFERENCE and not path.startswith(f"{INFERENCE}/"):
        return document
    headers = {name: value for name, value in document.headers.items() if not name.startswith("content-")}
    sentence = orjson.loads(document.body)["detail"]
    return Response(orjson.dumps({"error": sentence}), document.status_code, headers, "application/json")


def _no_json(request: Request) -> str:
    """What a body says that it is, where that is not JSON as it stands; empty where it is."""
    if coding := packed_by(request):
        return f"packed ({coding})"
    media = media_of(request.headers.get("content-type", ""))
    is_json = media == "application/json" or (media.startswith("application/") and media.endswith("+json"))
    return "" if is_json else media or "of no type"


def register(app: FastAPI) -> None:
    """Make every error of an application a problem document, or what the protocol of its path has in place of one."""

    @app.exception_handler(errors.Problem)
    async def _(request: Request, raised: errors.Problem) -> Response:
        return told(request, of_problem(raised))

    @app.exception_handler(AioRpcError)
    async def _(request: Request, raised: AioRpcError) -> Response:
        log.info("a service failed", path=shown_path(request), code=raised.code().name, detail=raised.details())
        return told(request, of_status(raised))

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, raised: RequestValidationError) -> Response:
        first = raised.errors()[0]
        is_there = first["type"] != "missing"
        if first["loc"] == ("body",) and is_there and (given := _no_json(request)):
            return told(request, of_problem(NotJson(given=given)))
        field = ".".join(part for part in first["loc"][1:] if isinstance(part, str)) or "body"
        message = f"The {first['loc'][0]} cannot be used ({field}: {first['msg']}). /docs describes what is expected."
        return told(request, problem(422, "INVALID_REQUEST", message, field=field))

    @app.exception_handler(HTTPException)
    async def _(request: Request, raised: HTTPException) -> Response:
        if raised.status_code == http.HTTPStatus.BAD_REQUEST and raised.__cause__ is not None:  # of reading the body
            if given := _no_json(request):
                return told(request, of_problem(NotJson(given=given)))
            return told(request, problem(422, "INVALID_REQUEST", NO_JSON, field="body"))
        message = f"{request.method} {request.url.path}: {raised.detail}. /docs lists what there is."
        answer = problem(raised.status_code, http.HTTPStatus(raised.status_code).name, message)
        answer.headers.update(raised.headers or {})  # such as Allow
        return told(request, answer)

    @app.exception_handler(Exception)
    async def _(request: Request, raised: Exception) -> Response:
        log.error("request failed unexpectedly", path=shown_path(request), exc_info=raised)
        return told(request, problem(500, "INTERNAL", UNFORESEEN))
