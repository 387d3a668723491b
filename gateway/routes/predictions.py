"""Predictions over HTTP: rows in, answers out."""

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from gateway import incoming, rendering
from gateway.flows import predicting
from gateway.identity import User
from gateway.routes import described
from gateway.routes.state import owned_model, peers_of
from modelyard.training.v1.training_pb2 import ROW_FORMAT_CSV, ROW_FORMAT_JSON
from servicekit import errors

router = APIRouter(prefix="/api/models", tags=["models"])

BODY_BYTES = 64 * 1024 * 1024
MANY_ROWS = 500
Version = Annotated[int, Path(ge=1)]


class TooMuchToPredict(errors.InvalidInput):
    """The rows have more than {limit} bytes, the most that one call takes. Send them in several calls."""

    field = "rows"


class BodyUnfit(errors.InvalidInput):
    """The body cannot be used ({field_name}: {trouble}). /docs describes what is expected."""

    field = "body"


class MediaUnfit(errors.InvalidInput):
    """Rows come as application/json or as text/csv, not as {given}."""

    field = "Content-Type"


class Asked(BaseModel):
    """Rows to predict for, and whether to keep what is answered."""

    model_config = ConfigDict(extra="forbid")

    rows: list[dict[str, Any]]
    log: bool = False


_ASKED = TypeAdapter(Asked)


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


def parsed(adapter: TypeAdapter[Any], body: bytes) -> Any:
    """A JSON body as what it has to be. Fails with BodyUnfit."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise BodyUnfit(field_name=where, trouble=first["msg"]) from error


@router.post("/{model_id}/predict", openapi_extra=described.rows())
async def predict_newest(request: Request, user: User, model_id: str) -> Response:
    """Answers for rows by the newest version that is ready: JSON, `{"rows": [{…}], "log": false}`, or a CSV table."""
    return await _predict(request, user, model_id)


@router.post("/{model_id}/versions/{version}/predict", openapi_extra=described.rows())
async def predict_version(request: Request, user: User, model_id: str, version: Version) -> Response:
    """Answers for rows by one version: JSON, `{"rows": [{…}], "log": false}`, or a CSV table."""
    return await _predict(request, user, model_id, version)


async def _predict(request: Request, user: str, model_id: str, version: int = 0) -> Response:
    peers = peers_of(request)
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media not in ("application/json", "text/csv"):
        raise MediaUnfit(given=media)
    target = await predicting.target_of(peers, await owned_model(peers, user, model_id), version)
    body = await body_of(request)
    if media == "text/csv":
        return await _answer(target, await predicting.predict(peers, target, ROW_FORMAT_CSV, body))
    asked: Asked = parsed(_ASKED, body)
    if asked.log:
        predicting.check_log(asked.rows)
    predicted = await predicting.predict(peers, target, ROW_FORMAT_JSON, orjson.dumps(asked.rows))
    if asked.log:
        await predicting.log(peers, target, asked.rows, predicted, request.url.path)
    return await _answer(target, predicted)


async def _answer(target: predicting.Target, predicted: predicting.Predicted) -> Response:
    if len(predicted.predictions) > MANY_ROWS:  # it takes a while to write them
        return await asyncio.to_thread(_rendered, target, predicted)
    return _rendered(target, predicted)


def _rendered(target: predicting.Target, predicted: predicting.Predicted) -> Response:
    return rendering.answer(
        {
            "predictions": predicted.predictions,
            "probabilities": list(predicted.chances()) if predicted.classes else None,
            "rowCount": len(predicted.predictions),
            "modelId": target.model.id,
            "modelVersion": target.version.version,
            "latencyMs": round(predicted.latency_ms, 3),
        }
    )
