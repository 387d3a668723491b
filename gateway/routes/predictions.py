"""Predictions over HTTP: rows in, answers out."""

import asyncio
import re
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from gateway import incoming, rendering
from gateway.flows import predicting
from gateway.identity import User
from gateway.routes import described
from gateway.routes.state import lookups_of, peers_of
from modelyard.metadata.v1.model_pb2 import ResolveModelVersionRequest
from modelyard.training.v1.training_pb2 import (
    ROW_FORMAT_ARROW,
    ROW_FORMAT_CSV,
    ROW_FORMAT_IMAGE,
    ROW_FORMAT_JSON,
    RowFormat,
)
from servicekit import errors

router = APIRouter(prefix="/api/models", tags=["models"])

BODY_BYTES = 64 * 1024 * 1024
MANY_ROWS = 500
LARGE_BYTES = 64 * 1024
ROWS_BEGIN = re.compile(rb'\s*\{\s*"rows"\s*:\s*(?=\[)')
Version = Annotated[int, Path(ge=1)]
Log = Annotated[bool, Query(description="Whether to keep what is asked and answered.")]
JSON = "application/json"
T = TypeVar("T")
FORMATS = {
    JSON: ROW_FORMAT_JSON,
    "text/csv": ROW_FORMAT_CSV,
    "application/vnd.apache.arrow.stream": ROW_FORMAT_ARROW,
    "application/octet-stream": ROW_FORMAT_IMAGE,
}
"""Media type to how rows are written. Bytes of no known kind can only be an image: it tells itself of which."""
FILES = {ROW_FORMAT_CSV: "csv", ROW_FORMAT_ARROW: "arrow", ROW_FORMAT_IMAGE: "image"}
"""What is kept by its checksum, and under which name."""


class TooMuchToPredict(errors.InvalidInput):
    """The rows have more than {limit} bytes, the most that one call takes. Send them in several calls."""

    field = "rows"


class BodyUnfit(errors.InvalidInput):
    """The body cannot be used ({field_name}: {trouble}). /docs describes what is expected."""

    field = "body"


class MediaUnfit(errors.InvalidInput):
    """What to predict for comes as application/json, text/csv, application/vnd.apache.arrow.stream or as an image, not
    as {given}."""

    field = "Content-Type"


class Asked(BaseModel):
    """Rows to predict for, and whether to keep what is answered."""

    model_config = ConfigDict(extra="forbid")

    rows: list[dict[str, Any]]
    log: bool = False


_ASKED: TypeAdapter[Asked] = TypeAdapter(Asked)


async def body_of(request: Request) -> bytes:
    """The body of a request. Fails with TooMuchToPredict and CutOff."""
    received = bytearray()
    try:
        async for piece in request.stream():
            received += piece
            if len(received) > BODY_BYTES:
                raise TooMuchToPredict(limit=BODY_BYTES)
    except ClientDisconnect as error:
        raise incoming.CutOff from error
    return bytes(received)


def _only_rows(body: bytes) -> bytes | None:
    """The array of rows in a large body that has nothing else, as it came: to read it here would hold up everybody
    else, and who predicts reads it anyway, and refuses what is none."""
    begins = ROWS_BEGIN.match(body) if len(body) > LARGE_BYTES else None
    if not begins or b'"log"' in body[body.rfind(b"]") :]:
        return None
    return body[begins.end() : body.rfind(b"}")]


def parsed(adapter: "TypeAdapter[T]", body: bytes) -> T:
    """A JSON body as what it has to be. Fails with BodyUnfit."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise BodyUnfit(field_name=where, trouble=first["msg"]) from error


@router.post("/{model_id}/predict", openapi_extra=described.rows())
async def predict_newest(request: Request, user: User, model_id: str, log: Log = False) -> Response:
    """Answers for rows by the newest version that is ready: JSON, `{"rows": [{…}], "log": false}`, a CSV table or an
    Arrow stream; for an image, its bytes. Of these, `log` in the query keeps what is answered."""
    return await _predict(request, user, model_id, 0, log)


@router.post("/{model_id}/versions/{version}/predict", openapi_extra=described.rows())
async def predict_version(request: Request, user: User, model_id: str, version: Version, log: Log = False) -> Response:
    """Answers for rows by one version: JSON, `{"rows": [{…}], "log": false}`, a CSV table or an Arrow stream; for an
    image, its bytes. Of these, `log` in the query keeps what is answered."""
    return await _predict(request, user, model_id, version, log)


async def _predict(request: Request, user: str, model_id: str, version: int, log: bool) -> Response:
    row_format = format_of(request.headers.get("content-type", JSON))
    wanted = ResolveModelVersionRequest(user_id=user, model_id=model_id, version=version)
    body = await body_of(request)
    if row_format == ROW_FORMAT_JSON and not log and (unread := _only_rows(body)):
        return await _answer(*await _asked(request, wanted, ROW_FORMAT_JSON, unread))
    if row_format == ROW_FORMAT_JSON:
        return await _predict_rows(request, wanted, parsed(_ASKED, body), log)
    target, predicted = await _asked(request, wanted, row_format, body)
    if log:
        predicting.check_log(predicted.predictions)
        rows = await asyncio.to_thread(predicting.described, FILES[row_format], body, len(predicted.predictions))
        await predicting.log(peers_of(request), target, rows, predicted, request.url.path)
    return await _answer(target, predicted)


async def _predict_rows(request: Request, wanted: ResolveModelVersionRequest, asked: Asked, log: bool) -> Response:
    log = log or asked.log
    predicting.check_log(asked.rows if log else [])
    target, predicted = await _asked(request, wanted, ROW_FORMAT_JSON, predicting.written(asked.rows))
    if log:
        await predicting.log(peers_of(request), target, asked.rows, predicted, request.url.path)
    return await _answer(target, predicted)


async def _asked(
    request: Request, wanted: ResolveModelVersionRequest, row_format: RowFormat.ValueType, rows: bytes
) -> tuple[predicting.Target, predicting.Predicted]:
    peers = peers_of(request)
    return await lookups_of(request).answered(
        wanted, lambda target: predicting.predict(peers, target, row_format, rows)
    )


def format_of(content_type: str) -> RowFormat.ValueType:
    """How rows of a media type are written. Fails with MediaUnfit."""
    media = content_type.partition(";")[0].strip().lower()
    if media.startswith("image/"):
        return ROW_FORMAT_IMAGE
    if media not in FORMATS:
        raise MediaUnfit(given=media)
    return FORMATS[media]


async def _answer(target: predicting.Target, predicted: predicting.Predicted) -> Response:
    if len(predicted.predictions) > MANY_ROWS:  # it takes a while to write them
        return await asyncio.to_thread(_rendered, target, predicted)
    return _rendered(target, predicted)


def _rendered(target: predicting.Target, predicted: predicting.Predicted) -> Response:
    chances = rendering.by_name(predicted.names, predicted.probabilities) if predicted.probabilities else None
    return rendering.answer(
        {
            "predictions": predicted.predictions,
            "probabilities": chances,
            "rowCount": len(predicted.predictions),
            "modelId": target.model.id,
            "modelVersion": target.version.version,
            "latencyMs": round(predicted.latency_ms, 3),
        }
    )
