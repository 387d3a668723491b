"""Predicting with a recorded model version, and keeping what it said."""

import asyncio
import hashlib
import itertools
import json
import math
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from google.protobuf.struct_pb2 import Value
from grpc.aio import AioRpcError
from typing_extensions import Buffer

from gateway.flows.engine import as_struct
from gateway.peers import Peers
from modelyard.common.v1.table_pb2 import TableFormat
from modelyard.metadata.v1.artifact_pb2 import ARTIFACT_STATE_ACTIVE, Artifact
from modelyard.metadata.v1.model_pb2 import Model, ModelVersion, ResolveModelVersionRequest
from modelyard.metadata.v1.prediction_pb2 import BatchCreatePredictionsRequest, Prediction
from modelyard.training.v1.training_pb2 import (
    PROBLEM_TYPE_OBJECT_DETECTION,
    ROW_FORMAT_IMAGE,
    PackageSource,
    PredictHeader,
    PredictRequest,
    PredictResponse,
    RowFormat,
)
from servicekit import errors, statuses
from servicekit.packed import doubles_of

PREDICT_SECONDS = 400.0
"""Deadline of a call that predicts; a model that is not loaded yet is loaded first."""
PIECE_BYTES = 64 * 1024
"""Of rows that are sent; with larger pieces a call waits longer for the first of them."""
MOST_LOGGED = 1000
LOGGED_AT_ONCE = 100

LOGGED_BYTES_AT_ONCE = 2 * 1024 * 1024
"""Of predictions that are kept in one call; no service takes a message of more than 4 MiB."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """What to predict for, as it came."""

    row_format: RowFormat.ValueType
    content: Buffer
    encoding: str = ""
    """Of a CSV table, where it is told."""
    datatypes: Mapping[str, str] = field(default_factory=dict)
    """Of columns, by the Open Inference Protocol."""
    row_count: int | None = None
    """Of columns."""


class NothingToAsk(errors.NotReady):
    """There is no version of model {name} here that could be asked: {why}. Train it, or name another version."""


class TooManyToLog(errors.InvalidInput):
    """There are {count} rows, and predictions of at most {limit} are kept in one call. Send fewer, or leave out log."""

    field = "log"


class TooLargeToLog(errors.InvalidInput):
    """Row {row} has {size} bytes, and at most {limit} of one are kept with its prediction. Send less, or leave out
    log."""

    field = "log"


class UnreadableImage(errors.InvalidInput):
    """Image {number} of {count}: {trouble}"""

    field = "inputs"


@dataclass(frozen=True)
class Target:
    """A model version, and where its package is."""

    model: Model
    version: ModelVersion
    artifact: Artifact

    @property
    def package(self) -> PackageSource:
        """What the training service has to know of it."""
        return PackageSource(placement=self.artifact.placement, key=self.artifact.key, sha256=self.artifact.sha256)


@dataclass(frozen=True)
class Predicted:
    """What a version answered: for each row a class, a number, or the list of objects in an image, each with class,
    score and box; and for classes the probability of each."""

    predictions: list[Any]
    classes: list[Any]
    probabilities: Sequence[float]
    """Row after row, in the order of the classes."""
    latency_ms: float

    @property
    def names(self) -> list[str]:
        """The classes as text."""
        return [text_of(label) for label in self.classes]

    @property
    def size(self) -> int:
        """How many answers there are to write: for classes, one for each row and class."""
        return len(self.predictions) * max(1, len(self.classes))

    def chances(self) -> Iterator[dict[str, float]]:
        """For each row, class to probability."""
        names, in_turn = self.names, iter(self.probabilities)
        for row in zip(*[in_turn] * len(names), strict=True):
            yield dict(zip(names, row, strict=True))


async def target_of(peers: Peers, wanted: ResolveModelVersionRequest) -> Target:
    """A version of a user's model, or the newest that is ready. Fails with NothingToAsk."""
    found = await peers.models.ResolveModelVersion(wanted, **peers.quick)
    name = found.model.name
    if not found.HasField("version"):
        raise NothingToAsk(name=name, why="none is ready")
    if not found.HasField("artifact"):
        raise NothingToAsk(name=name, why="its bytes are not kept here")
    if found.artifact.state != ARTIFACT_STATE_ACTIVE:
        raise NothingToAsk(name=name, why="its bytes are gone")
    # Only what our own training packaged is opened: its checksum was recorded with it.
    if found.package_sha256 != found.artifact.sha256:
        raise NothingToAsk(name=name, why="it was not packaged here")
    return Target(found.model, found.version, found.artifact)


async def predict(peers: Peers, target: Target, rows: Rows) -> Predicted:
    """What a version answers for rows, as the training service is asked."""
    started = time.perf_counter()
    whole = PredictResponse()
    async for part in peers.training.Predict(_sent(target, rows), **peers.within(PREDICT_SECONDS)):
        whole.MergeFrom(part)
    classes = [_label(value) for value in whole.classes]
    return Predicted(
        predictions=_answers(whole, classes),
        classes=classes,
        probabilities=doubles_of(whole, "probabilities"),
        latency_ms=(time.perf_counter() - started) * 1000,
    )


def written(values: Any) -> bytes:
    """Rows, or whatever else JSON has, as JSON; a NaN and an infinity, which it has not, as Python writes them: it is
    for who reads them to say in which row and column one is."""
    try:
        content = orjson.dumps(values)
    except TypeError:  # a whole number of more than 64 bits
        return json.dumps(values).encode()
    # orjson writes null for them, as for what is null.
    return json.dumps(values).encode() if b"null" in content else content


async def predict_images(peers: Peers, target: Target, images: Sequence[bytes]) -> Predicted:
    """What a version answers for images, one after the other; the latency is that of all. Of several, UnreadableImage
    says which."""
    answers = [await _predict_image(peers, target, images, place) for place in range(len(images))]
    return Predicted(
        predictions=[answer for each in answers for answer in each.predictions],
        classes=answers[0].classes,
        probabilities=[chance for each in answers for chance in each.probabilities],
        latency_ms=sum(each.latency_ms for each in answers),
    )


async def _predict_image(peers: Peers, target: Target, images: Sequence[bytes], place: int) -> Predicted:
    try:
        return await predict(peers, target, Rows(ROW_FORMAT_IMAGE, images[place]))
    except AioRpcError as error:
        if len(images) == 1 or statuses.reason_of(error) != "UNREADABLE_IMAGE":
            raise
        said = error.details() or ""
        raise UnreadableImage(number=place + 1, count=len(images), trouble=said[:1].lower() + said[1:]) from error


def _answers(whole: PredictResponse, classes: list[Any]) -> list[Any]:
    if whole.problem_type == PROBLEM_TYPE_OBJECT_DETECTION:
        found: list[list[Row]] = [[] for _ in range(whole.row_count)]
        for one in whole.detections:
            box = [one.x_min, one.y_min, one.x_max, one.y_max]
            found[one.row].append({"class": classes[one.class_index], "score": one.score, "box": box})
        return found
    return [classes[place] for place in whole.class_indexes] if classes else doubles_of(whole, "values").tolist()


async def _sent(target: Target, rows: Rows) -> AsyncIterator[PredictRequest]:
    table = TableFormat(encoding=rows.encoding) if rows.encoding else None
    content = memoryview(rows.content)
    pieces = (bytes(content[start : start + PIECE_BYTES]) for start in range(0, len(content), PIECE_BYTES))
    first = next(pieces, b"")
    header = PredictHeader(
        package=target.package,
        row_format=rows.row_format,
        table_format=table,
        first_chunk=first,
        datatypes=rows.datatypes,
        row_count=rows.row_count,
    )
    yield PredictRequest(header=header)
    for piece in pieces:
        yield PredictRequest(chunk=piece)


def _label(value: Value) -> Any:
    label = getattr(value, value.WhichOneof("kind") or "string_value")
    return int(label) if isinstance(label, float) and label.is_integer() else label


def described(kind: str, content: Buffer, count: int = 1) -> list[Row]:
    """What came as a file, as predictions keep it: for each row which file it was in and where, not its bytes."""
    known = {kind: {"sha256": hashlib.sha256(content).hexdigest(), "size": memoryview(content).nbytes}}
    return [known | {"row": row} for row in range(count)]


def text_of(label: Any) -> str:
    """A class as text, as JSON would write it."""
    return label if isinstance(label, str) else orjson.dumps(label).decode()


def check_log(rows: Sequence[object]) -> None:
    """Fail with TooManyToLog where predictions for so many rows are not kept."""
    if len(rows) > MOST_LOGGED:
        raise TooManyToLog(count=len(rows), limit=MOST_LOGGED)


async def log(peers: Peers, target: Target, rows: Sequence[Row], predicted: Predicted, source: str) -> None:
    """Keep what was asked and answered, a prediction a row; each took as long as the call did."""
    for some in await asyncio.to_thread(_logged, target, rows, predicted, source):
        request = BatchCreatePredictionsRequest(predictions=some, request_id=uuid.uuid4().hex)
        await peers.predictions.BatchCreatePredictions(request, **peers.quick)


def _logged(target: Target, rows: Sequence[Row], predicted: Predicted, source: str) -> list[list[Prediction]]:
    """What is kept, in batches. Of wide rows that takes seconds."""
    chances: Iterator[dict[str, float]] = predicted.chances() if predicted.probabilities else itertools.repeat({})
    return _batches(
        [
            Prediction(
                user_id=target.model.user_id,
                model_version_id=target.version.id,
                inputs=as_struct({name: _known(value) for name, value in row.items()}),
                outputs=as_struct({"prediction": answer} | ({"probabilities": each} if each else {})),
                confidence=max(each.values()) if each else None,
                latency_ms=predicted.latency_ms,
                source=source,
            )
            for row, answer, each in zip(rows, predicted.predictions, chances, strict=False)
        ]
    )


def _known(value: Any) -> Any:
    """A value as it is kept: what is no number is nothing, as it was to the model."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _batches(logged: Sequence[Prediction]) -> list[list[Prediction]]:
    """Predictions as they are kept, so many at once as a message can hold. Fails with TooLargeToLog."""
    batches: list[list[Prediction]] = [[]]
    held = 0
    for number, one in enumerate(logged, 1):
        size = one.ByteSize()
        if size > LOGGED_BYTES_AT_ONCE:
            raise TooLargeToLog(row=number, size=f"{size:,}", limit=f"{LOGGED_BYTES_AT_ONCE:,}")
        if len(batches[-1]) == LOGGED_AT_ONCE or held + size > LOGGED_BYTES_AT_ONCE:
            batches.append([])
            held = 0
        batches[-1].append(one)
        held += size
    return batches
