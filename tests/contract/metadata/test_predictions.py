"""Predictions."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import model_pb2
from modelyard.metadata.v1 import prediction_pb2 as pb
from servicekit import statuses

from .aggregates import Aggregates, kept, mask
from .conftest import Metadata


@pytest.fixture
def aggregates(metadata: Metadata) -> Aggregates:
    return Aggregates(metadata)


async def a_version(aggregates: Aggregates) -> model_pb2.ModelVersion:
    return await aggregates.version((await aggregates.model()).id)


async def ids(aggregates: Aggregates, **filters: object) -> list[str]:
    listed = await aggregates.predictions.ListPredictions(pb.ListPredictionsRequest(**filters), **aggregates.quick)
    return [each.id for each in listed.predictions]


async def test_prediction_keeps_every_field(aggregates: Aggregates):
    """004.2: log_prediction keeps inputs, outputs, confidence and latency."""
    version = await a_version(aggregates)
    given = pb.Prediction(
        user_id="ada",
        model_version_id=version.id,
        inputs={"rows": [[1.0, "a", None], [2.0, "b", True]], "columns": ["x", "y", "z"]},
        outputs={"labels": ["Größe", "klein"]},
        confidence=0.0,
        latency_ms=12.75,
        predict_time={"seconds": 1_700_000_000, "nanos": 5_000},
        source="/v2/models/x/infer",
        actual={"labels": ["klein", "klein"]},
        tags={"batch": 7},
    )
    request = pb.CreatePredictionRequest(prediction=given, request_id="one")
    created = await aggregates.predictions.CreatePrediction(request, **aggregates.quick)
    again = await aggregates.predictions.CreatePrediction(request, **aggregates.quick)
    got = await aggregates.predictions.GetPrediction(pb.GetPredictionRequest(id=created.id), **aggregates.quick)

    given.model_id = version.model_id
    assert created == again == got == kept(given, got)


async def test_what_was_not_measured_is_absent(aggregates: Aggregates):
    prediction = await aggregates.prediction((await a_version(aggregates)).id)

    assert not prediction.HasField("confidence")
    assert not prediction.HasField("latency_ms")
    assert abs(prediction.predict_time.seconds - aggregates.clock().timestamp()) < 5


async def test_a_page_has_no_more_than_a_message_may_hold(aggregates: Aggregates):
    """Five predictions of 1.25 MiB are three pages, however many a page may have."""
    version = await a_version(aggregates)
    inputs = {"text": "x" * (5 * 2**18)}
    made = [(await aggregates.prediction(version.id, inputs=inputs)).id for _ in range(5)]
    pages, token = [], ""
    while not pages or token:
        request = pb.ListPredictionsRequest(page_size=4, page_token=token)
        page = await aggregates.predictions.ListPredictions(request, **aggregates.quick)
        pages.append([each.id for each in page.predictions])
        token = page.next_page_token

    assert [len(page) for page in pages] == [2, 2, 1]
    assert {each for page in pages for each in page} == set(made)


async def test_latest_prediction_comes_first(aggregates: Aggregates):
    """004: predictions come newest first, by when they were made and not by when they were logged."""
    version = await a_version(aggregates)
    late, early, middle = [
        (await aggregates.prediction(version.id, predict_time={"seconds": seconds})).id for seconds in (300, 100, 200)
    ]
    first = await aggregates.predictions.ListPredictions(pb.ListPredictionsRequest(page_size=2), **aggregates.quick)
    request = pb.ListPredictionsRequest(page_size=2, page_token=first.next_page_token)
    second = await aggregates.predictions.ListPredictions(request, **aggregates.quick)

    assert [each.id for each in (*first.predictions, *second.predictions)] == [late, middle, early]
    assert second.next_page_token == ""
    assert await ids(aggregates, predicted_before=Timestamp(seconds=300)) == [middle, early]


async def test_predictions_are_narrowed_by_model_version_and_user(aggregates: Aggregates):
    """004.2: get_predictions of one version."""
    one, two = await a_version(aggregates), await a_version(aggregates)
    mine = (await aggregates.prediction(one.id)).id
    theirs = (await aggregates.prediction(two.id, user_id="grace")).id

    assert await ids(aggregates, model_version_id=one.id) == await ids(aggregates, user_id="ada") == [mine]
    assert await ids(aggregates, model_id=two.model_id) == [theirs]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model_version_id": ""}, "model_version_id"),
        ({"user_id": ""}, "user_id"),
        ({"confidence": 1.5}, "confidence"),
        ({"confidence": -0.1}, "confidence"),
        ({"confidence": float("nan")}, "confidence"),
        ({"latency_ms": -1.0}, "latency_ms"),
        ({"latency_ms": float("inf")}, "latency_ms"),
        ({"inputs": {"x": float("inf")}}, "inputs"),
    ],
)
async def test_impossible_prediction_is_refused(aggregates: Aggregates, fields: dict[str, object], field: str):
    version = await a_version(aggregates)
    with pytest.raises(AioRpcError) as raised:
        given = pb.Prediction(**{"user_id": "ada", "model_version_id": version.id, **fields})
        request = pb.CreatePredictionRequest(prediction=given, request_id="one")
        await aggregates.predictions.CreatePrediction(request, **aggregates.quick)

    assert statuses.field_of(raised.value) == field


async def test_prediction_of_no_version_is_refused(aggregates: Aggregates):
    with pytest.raises(AioRpcError) as raised:
        await aggregates.prediction("nothing")

    assert raised.value.code().name == "FAILED_PRECONDITION"


async def test_batch_is_logged_once_and_whole(aggregates: Aggregates):
    version = await a_version(aggregates)
    given = [pb.Prediction(user_id="ada", model_version_id=version.id, outputs={"n": n}) for n in range(50)]
    request = pb.BatchCreatePredictionsRequest(predictions=given, request_id="batch")
    first = await aggregates.predictions.BatchCreatePredictions(request, **aggregates.quick)
    second = await aggregates.predictions.BatchCreatePredictions(request, **aggregates.quick)
    given[30].model_version_id = "nothing"
    broken = pb.BatchCreatePredictionsRequest(predictions=given, request_id="broken")
    with pytest.raises(AioRpcError) as raised:
        await aggregates.predictions.BatchCreatePredictions(broken, **aggregates.quick)

    assert [each.outputs["n"] for each in first.predictions] == list(range(50))
    assert first == second
    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert len(await ids(aggregates, page_size=1000)) == 50


@pytest.mark.parametrize("count", [0, 1001])
async def test_impossible_batch_is_refused(aggregates: Aggregates, count: int):
    given = [pb.Prediction(user_id="ada", model_version_id="any")] * count
    request = pb.BatchCreatePredictionsRequest(predictions=given, request_id="batch")
    with pytest.raises(AioRpcError) as raised:
        await aggregates.predictions.BatchCreatePredictions(request, **aggregates.quick)

    assert statuses.reason_of(raised.value) == "TOO_MANY_AT_ONCE"


async def test_truth_is_added_later(aggregates: Aggregates):
    prediction = await aggregates.prediction((await a_version(aggregates)).id)
    change = pb.Prediction(id=prediction.id, etag=prediction.etag, actual={"label": "b"})
    request = pb.UpdatePredictionRequest(prediction=change, update_mask=mask("actual"))
    updated = await aggregates.predictions.UpdatePrediction(request, **aggregates.quick)

    assert updated.actual["label"] == "b"


async def test_predictions_fall_with_their_model(aggregates: Aggregates):
    """004.5: deleting a model deletes its versions and their predictions."""
    version = await a_version(aggregates)
    for _ in range(3):
        await aggregates.prediction(version.id)
    request = model_pb2.DeleteModelRequest(id=version.model_id)
    deleted = await aggregates.models.DeleteModel(request, **aggregates.quick)

    assert deleted.count == 5
    assert await ids(aggregates) == []
