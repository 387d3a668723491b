"""Predictions by the Open Inference Protocol (version 2, JSON): columns as named tensors, or images in base64. What a
model finds in an image is told as JSON in its text.
"""

import asyncio
import base64
import json
import math
from typing import Annotated, Any

import msgspec
import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway import problems, rendering
from gateway.flows import predicting
from gateway.identity import User
from gateway.peers import Peers
from gateway.routes import described
from gateway.routes.health import why_not
from gateway.routes.predictions import LARGE_BYTES, MANY_ANSWERS, BodyUnfit, Version, body_of
from gateway.routes.state import lookups_of, peers_of
from modelyard.metadata.v1.model_pb2 import ResolveModelVersionRequest
from modelyard.training.v1.training_pb2 import ROW_FORMAT_COLUMNS
from servicekit import errors

PREDICTION, PROBABILITIES = "prediction", "probabilities"
IMAGE = "image"
"""The input of a model that has no columns: images in base64."""
MOST_IMAGES = 64
BINARY = "inference-header-content-length"
"""The header of a body that has tensors as bytes behind its JSON."""
UNREADABLE = "its data has text that is not in UTF-8, a number of thousands of digits, or lists nested without end"
NO_NUMBERS = {
    "NaN": None,
    "Infinity": orjson.Fragment(b"1e999"),
    "-Infinity": orjson.Fragment(b"-1e999"),
}
"""What Python writes and JSON has no word for: nothing, or a number too large, which is refused where it stands."""


class TensorUnfit(errors.InvalidInput):
    """The input {name!r} cannot be used: {trouble}. Each input is a column, with one value a row in `data`."""

    field = "inputs"


class OutputUnknown(errors.InvalidInput):
    """The model has no output {name!r}. Its outputs are: {known}."""

    field = "outputs"


class BinaryTensors(errors.InvalidInput):
    """The tensors come as bytes behind the JSON, and are not taken so. Send them as `data` in the JSON: with
    tritonclient, set_data_from_numpy(…, binary_data=False)."""

    field = "inputs"


router = APIRouter(prefix=problems.INFERENCE, tags=["inference"], responses=described.PROTOCOL_RESPONSES)


class Tensor(msgspec.Struct):
    """A column, its data as it came."""

    name: str
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    datatype: str
    data: msgspec.Raw

    def __post_init__(self) -> None:
        """Refuse data that is no array; whoever predicts looks at its values."""
        if bytes(memoryview(self.data)[:1]) != b"[":
            raise ValueError("`data` is no array")

    def column(self) -> bytes:
        """Its values in JSON, one after the other. Fails with TensorUnfit."""
        self._check_shape()
        return bytes(self.data) if len(self.shape) == 1 else predicting.written(self.values())

    def values(self) -> list[Any]:
        """Its values, read. Fails with TensorUnfit."""
        self._check_shape()
        try:
            values: list[Any] = json.loads(bytes(self.data))
        except (ValueError, RecursionError) as error:
            raise TensorUnfit(name=self.name, trouble=UNREADABLE) from error
        for _ in self.shape[1:]:  # nested as the shape says, or not at all
            if values and all(isinstance(value, list) and len(value) == 1 for value in values):
                values = [value[0] for value in values]
        return values

    def _check_shape(self) -> None:
        if not self.shape or math.prod(self.shape[1:]) != 1:
            raise TensorUnfit(name=self.name, trouble=f"its shape {self.shape} is not that of a column")


class Wanted(msgspec.Struct):
    """An output that is asked for."""

    name: str


class Parameters(msgspec.Struct):
    """Of what is wished besides: whether to keep what is answered."""

    log: bool | None = None


class Inference(msgspec.Struct):
    """What is asked: columns, which outputs, and under `parameters.log` whether to keep what is answered. Null is
    what is not there."""

    inputs: Annotated[list[Tensor], msgspec.Meta(min_length=1)]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[Wanted] | None = None

    @property
    def kept(self) -> bool:
        """Whether to keep what is answered."""
        return bool(self.parameters and self.parameters.log)

    @property
    def row_count(self) -> int:
        """Rows that each column says it has. Fails with TensorUnfit."""
        counts = [next(iter(tensor.shape), 0) for tensor in self.inputs]
        for tensor, count in zip(self.inputs, counts, strict=True):
            if count != counts[0]:
                raise TensorUnfit(name=tensor.name, trouble="it has another number of rows than the first one")
        return counts[0]

    def columns(self) -> predicting.Rows:
        """The columns, as they are sent. Fails with TensorUnfit."""
        columns: dict[str, bytes] = {}
        for tensor in self.inputs:
            if tensor.name in columns:
                raise TensorUnfit(name=tensor.name, trouble="it is there twice")
            columns[tensor.name] = tensor.column()
        content = b"{%b}" % b",".join([b"%b:%b" % (orjson.dumps(name), data) for name, data in columns.items()])
        datatypes = {tensor.name: tensor.datatype for tensor in self.inputs}
        return predicting.Rows(ROW_FORMAT_COLUMNS, content, datatypes=datatypes, row_count=self.row_count)

    def rows(self) -> list[predicting.Row]:
        """The same as rows."""
        columns = {tensor.name: tensor.values() for tensor in self.inputs}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def images(self) -> list[bytes]:
        """The images, decoded. Fails with TensorUnfit."""
        count = self.row_count
        if not 0 < count <= MOST_IMAGES:
            raise TensorUnfit(name=IMAGE, trouble=f"one call takes 1 to {MOST_IMAGES} images")
        tensor, *others = sorted(self.inputs, key=lambda tensor: tensor.name != IMAGE)
        if tensor.name != IMAGE or others:
            name = [tensor, *others][-1].name
            raise TensorUnfit(name=name, trouble=f"this model has one input, {IMAGE!r}, and takes it once")
        values = tensor.values()
        if len(values) != count:
            raise TensorUnfit(name=IMAGE, trouble=f"it has {len(values)} values and its shape says {count}")
        if tensor.datatype != "BYTES":
            raise TensorUnfit(name=IMAGE, trouble=f"not all of its values are {tensor.datatype}")
        try:
            return [base64.b64decode(image, validate=True) for image in values]
        except (ValueError, TypeError) as error:
            raise TensorUnfit(name=IMAGE, trouble="its values are no base64") from error


_INFERENCE = msgspec.json.Decoder(Inference)


def _read(body: bytearray) -> Inference:
    """What is asked. Fails with BodyUnfit."""
    try:
        return _INFERENCE.decode(body)
    except msgspec.ValidationError as error:
        raise _unfit(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_leniently(body)


def _read_leniently(body: bytearray) -> Inference:
    """What Python writes need not be JSON: it has a NaN, which stands for nothing. Numbers stay as they were sent."""
    try:
        told = json.loads(body, parse_constant=NO_NUMBERS.get, parse_int=orjson.Fragment, parse_float=orjson.Fragment)
        return _INFERENCE.decode(orjson.dumps(told))
    except msgspec.ValidationError as error:
        raise _unfit(error) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise BodyUnfit(field_name="body", trouble=str(error)) from error


def _unfit(error: msgspec.ValidationError) -> BodyUnfit:
    trouble, _, path = str(error).partition(" - at `$")
    return BodyUnfit(field_name=path.strip("`.") or "body", trouble=trouble)


@router.get("")
async def describe_server(request: Request) -> Response:
    """The server, and which extensions of the protocol it has."""
    return rendering.answer({"name": "modelyard", "version": request.app.version, "extensions": []})


@router.get("/health/live")
async def live() -> Response:
    """Whether the gateway runs."""
    return rendering.answer({"live": True})


@router.get("/health/ready")
async def ready(request: Request) -> Response:
    """Whether all that predicting needs is ready."""
    reasons = await asyncio.gather(*(why_not(channel) for channel in peers_of(request).channels.values()))
    return rendering.answer({"ready": not any(reasons)}, 503 if any(reasons) else 200)


@router.get("/models/{name}")
async def describe_newest(request: Request, user: User, name: str) -> Response:
    """The inputs and outputs of a model, by its name or id: those of the newest version that is ready."""
    return rendering.answer(_described(await _target(request, user, name)))


@router.get("/models/{name}/versions/{version}")
async def describe_version(request: Request, user: User, name: str, version: Version) -> Response:
    """The inputs and outputs of one version."""
    return rendering.answer(_described(await _target(request, user, name, version)))


@router.get("/models/{name}/ready")
async def newest_ready(request: Request, user: User, name: str) -> Response:
    """Whether a model has a version that can be asked."""
    target = await _target(request, user, name)
    return rendering.answer({"name": target.model.name, "ready": True})


@router.get("/models/{name}/versions/{version}/ready")
async def version_ready(request: Request, user: User, name: str, version: Version) -> Response:
    """Whether one version can be asked."""
    target = await _target(request, user, name, version)
    return rendering.answer({"name": target.model.name, "ready": True})


@router.post("/models/{name}/infer", openapi_extra=described.inference())
async def infer_newest(request: Request, user: User, name: str) -> Response:
    """Answers for columns by the newest version that is ready."""
    return await _infer(request, _wanted(user, name))


@router.post("/models/{name}/versions/{version}/infer", openapi_extra=described.inference())
async def infer_version(request: Request, user: User, name: str, version: Version) -> Response:
    """Answers for columns by one version."""
    return await _infer(request, _wanted(user, name, version))


async def _target(request: Request, user: str, name: str, version: int = 0) -> predicting.Target:
    return await predicting.target_of(peers_of(request), _wanted(user, name, version))


def _wanted(user: str, name: str, version: int = 0) -> ResolveModelVersionRequest:
    # An id where no name is so.
    return ResolveModelVersionRequest(user_id=user, name=name, model_id=name, version=version)


def _described(target: predicting.Target) -> rendering.Json:
    version = target.version
    numbers = version.problem_type == "regression"
    outputs = [{"name": PREDICTION, "datatype": "FP64" if numbers else "BYTES", "shape": [-1]}]
    if version.problem_type in ("binary", "multiclass"):
        outputs.append({"name": PROBABILITIES, "datatype": "FP64", "shape": [-1, -1]})
    return {
        "name": target.model.name,
        "versions": [str(version.version)],
        "platform": f"modelyard_{version.engine}",
        # As text, in which every table comes; numbers and truth values may come as such.
        "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in version.features or [IMAGE]],
        "outputs": outputs,
    }


async def _infer(request: Request, wanted: ResolveModelVersionRequest) -> Response:
    asked, peers = await _asked(request), peers_of(request)
    target, (rows, predicted) = await lookups_of(request).answered(
        wanted, lambda target: _inferred(peers, target, asked)
    )
    if asked.kept:
        await predicting.log(peers, target, rows, predicted, request.url.path)
    if predicted.size > MANY_ANSWERS:
        return await asyncio.to_thread(_rendered, target, asked, predicted)
    return _rendered(target, asked, predicted)


async def _asked(request: Request) -> Inference:
    body = await body_of(request)
    if request.headers.get(BINARY, str(len(body))) != str(len(body)):
        raise BinaryTensors
    return await asyncio.to_thread(_read, body) if len(body) > LARGE_BYTES else _read(body)


async def _inferred(
    peers: Peers, target: predicting.Target, asked: Inference
) -> tuple[list[predicting.Row], predicting.Predicted]:
    """The rows as they are kept, where that is asked for, and what a version answers for them."""
    if not target.version.features:
        images = await asyncio.to_thread(asked.images)
        kept = [row for image in images for row in predicting.described(IMAGE, image)] if asked.kept else []
        return kept, await predicting.predict_images(peers, target, images)
    if asked.kept:
        predicting.check_log(range(asked.row_count))
    columns = await asyncio.to_thread(asked.columns)
    predicted = await predicting.predict(peers, target, columns)
    return await asyncio.to_thread(asked.rows) if asked.kept else [], predicted


def _rendered(target: predicting.Target, asked: Inference, predicted: predicting.Predicted) -> Response:
    body: rendering.Json = {
        "model_name": target.model.name,
        "model_version": str(target.version.version),
        "outputs": _chosen(asked, _outputs(predicted)),
    }
    return rendering.answer(body | ({"id": asked.id} if asked.id else {}))


def _outputs(predicted: predicting.Predicted) -> list[rendering.Json]:
    count, wide = len(predicted.predictions), len(predicted.classes)
    if not wide:
        return [{"name": PREDICTION, "datatype": "FP64", "shape": [count], "data": predicted.predictions}]
    labels = [predicting.text_of(label) for label in predicted.predictions]
    told = {"name": PREDICTION, "datatype": "BYTES", "shape": [count], "data": labels}
    if not predicted.probabilities:
        return [told]
    chances = {
        "name": PROBABILITIES,
        "datatype": "FP64",
        "shape": [count, wide],
        "parameters": {"classes": predicted.names},
        "data": list(predicted.probabilities),
    }
    return [told, chances]


def _chosen(asked: Inference, outputs: list[rendering.Json]) -> list[rendering.Json]:
    by_name = {output["name"]: output for output in outputs}
    chosen = asked.outputs or []
    for wanted in chosen:
        if wanted.name not in by_name:
            raise OutputUnknown(name=wanted.name, known=", ".join(by_name))
    return [by_name[wanted.name] for wanted in chosen] or outputs
