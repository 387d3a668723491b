"""Predictions over HTTP: rows in, answers out."""

import asyncio
import re
from codecs import BOM_UTF8
from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Any

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
MANY_ANSWERS = 500
"""With more it takes a while to write them: of classes, a row has one for each."""
LARGE_BYTES = 64 * 1024
ROWS_BEGIN, ROWS_END = re.compile(rb'\s*\{\s*"rows"\s*:\s*(?=\[)'), re.compile(rb"\]\s*\}\s*\Z")
LAST_BYTES = 256
"""Of a body, in which its rows end if nothing else follows them."""
MOST_VERSION = 2**31 - 1
"""No contract has room for a larger number."""
Version = Annotated[int, Path(ge=1, le=MOST_VERSION)]
Log = Annotated[bool, Query(description="Whether to keep what is asked and answered.")]
JSON = "application/json"
FORMATS = {
    JSON: ROW_FORMAT_JSON,
    "text/csv": ROW_FORMAT_CSV,
    "application/vnd.apache.arrow.stream": ROW_FORMAT_ARROW,
    "application/vnd.apache.arrow.file": ROW_FORMAT_ARROW,
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
    {given}."""

    field = "Content-Type"


class ContentEncodingUnfit(errors.InvalidInput):
    """The body is packed ({given}), and what to predict for is taken as it is. Send it without Content-Encoding."""

    field = "Content-Encoding"


class CharsetUnknown(errors.InvalidInput):
    """The charset {given!r} is not known here. Send the table in UTF-8, or name its encoding as IANA does."""

    field = "Content-Type"


class Asked(BaseModel):
    """Rows to predict for, and whether to keep what is answered."""

    model_config = ConfigDict(extra="forbid")

    rows: list[dict[str, Any]]
    log: bool = False


_ASKED: TypeAdapter[Asked] = TypeAdapter(Asked)


async def body_of(request: Request) -> bytearray:
    """The body of a request. Fails with ContentEncodingUnfit, TooMuchToPredict and CutOff."""
    if coding := incoming.packed_by(request):
        raise ContentEncodingUnfit(given=coding)
    received = bytearray()
    try:
        async for piece in request.stream():
            received += piece
            if len(received) > BODY_BYTES:
                raise TooMuchToPredict(limit=BODY_BYTES)
    except ClientDisconnect as error:
        raise incoming.CutOff from error
    return received


def _only_rows(body: bytearray) -> memoryview | None:
    """The array of rows in a body that has nothing else, as it came: who predicts reads it anyway, and refuses what is
    none, and to read a large one here would hold up everybody else."""
    begins = ROWS_BEGIN.match(body)
    ends = begins and ROWS_END.search(body, max(begins.end(), len(body) - LAST_BYTES))
    return memoryview(body)[begins.end() : ends.start() + 1] if begins and ends else None


async def _asked(body: bytearray) -> Asked:
    """What a JSON body asks. Fails with BodyUnfit."""
    try:
        if len(body) > LARGE_BYTES:  # it takes a while to read
            return await asyncio.to_thread(_ASKED.validate_json, body)
        return _ASKED.validate_json(body)
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


@dataclass(frozen=True)
class Question:
    """What is asked: rows as they came, and whether to keep them with the answers."""

    rows: predicting.Rows
    log: bool
    read: list[predicting.Row]
    """The rows, where they had to be read to be kept; a file is kept by its checksum."""


async def _predict(request: Request, user: str, model_id: str, version: int, log: bool) -> Response:
    asked, peers = await _question_of(request, log), peers_of(request)
    wanted = ResolveModelVersionRequest(user_id=user, model_id=model_id, version=version)
    target, predicted = await lookups_of(request).answered(
        wanted, lambda target: predicting.predict(peers, target, asked.rows)
    )
    if asked.log:
        kept = asked.read or await _described(asked.rows, predicted)
        await predicting.log(peers, target, kept, predicted, request.url.path)
    return await _answer(target, predicted)


async def _question_of(request: Request, log: bool) -> Question:
    content_type = request.headers.get("content-type", JSON)
    row_format = format_of(content_type)
    body = await body_of(request)
    if row_format != ROW_FORMAT_JSON:
        encoding = _charset_of(content_type) if row_format == ROW_FORMAT_CSV else ""
        return Question(predicting.Rows(row_format, body, encoding), log, [])
    if body.startswith(BOM_UTF8):  # some programs write it before everything
        del body[: len(BOM_UTF8)]
    unread = _only_rows(body)
    if unread and not log:
        return Question(predicting.Rows(ROW_FORMAT_JSON, unread), log, [])
    asked = await _asked(body)
    content = unread if unread else await asyncio.to_thread(predicting.written, asked.rows)
    log = log or asked.log
    predicting.check_log(asked.rows if log else [])
    return Question(predicting.Rows(ROW_FORMAT_JSON, content), log, asked.rows)


async def _described(rows: predicting.Rows, predicted: predicting.Predicted) -> list[predicting.Row]:
    """The rows of a file, as they are kept."""
    predicting.check_log(predicted.predictions)
    kind, count = FILES[rows.row_format], len(predicted.predictions)
    return await asyncio.to_thread(predicting.described, kind, rows.content, count)


def format_of(content_type: str) -> RowFormat.ValueType:
    """How rows of a media type are written. Fails with MediaUnfit."""
    media = incoming.media_of(content_type)
    if media.startswith("image/"):
        return ROW_FORMAT_IMAGE
    if media not in FORMATS:
        raise MediaUnfit(given=f"as {media}" if media else "without a Content-Type")
    return FORMATS[media]


def _charset_of(content_type: str) -> str:
    """The encoding that a media type tells; none where it does not. Fails with CharsetUnknown."""
    message = Message()
    message["content-type"] = content_type
    charset = message.get_content_charset("")
    try:
        "".encode(charset or "utf-8")  # refuses also what turns bytes into other bytes
    except (LookupError, UnicodeError) as error:
        raise CharsetUnknown(given=charset) from error
    return charset


async def _answer(target: predicting.Target, predicted: predicting.Predicted) -> Response:
    if predicted.size > MANY_ANSWERS:
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
