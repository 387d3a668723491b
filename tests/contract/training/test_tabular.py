"""The real thing: a real dataset through the service as it runs."""

import hashlib
import io
import json
import zipfile

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from sklearn.datasets import load_wine

from modelyard.training.v1 import training_pb2
from services.training.bootstrap import WORKLOADS
from tests.contract.training.conftest import train_request


async def test_wine_is_trained_checked_and_packaged(start, storage):
    """002.9: download, train, zip; scores are of rows that were held out."""
    frame = load_wine(as_frame=True).frame
    source = storage[0].put("wine.csv", frame.to_csv(index=False).encode())
    request = train_request(source, "wine", "tabular", engine="quick")
    async with start(WORKLOADS) as client:
        plan = await client.training.CheckTraining(request, **client.channel.within(60))
        events = await client.trained(request)
        artifact = b"".join(await client.artifact("wine"))
        await client.release("wine")
        left = client.left_behind()
    result = events[-1].result
    fractions = [event.progress.fraction for event in events if event.HasField("progress")]

    assert (plan.target, plan.problem_type, plan.row_count) == ("target", training_pb2.PROBLEM_TYPE_MULTICLASS, 178)
    assert fractions == sorted(fractions)
    assert result.engine == "quick"
    assert result.test_row_count > 0
    assert result.train_row_count + result.test_row_count == 178
    assert result.score > 0.8
    assert result.dataset_sha256 == source.sha256
    assert hashlib.sha256(artifact).hexdigest() == result.artifact_sha256
    assert {"manifest.json", "predict.py"} <= set(zipfile.ZipFile(io.BytesIO(artifact)).namelist())
    assert left == []
    assert MessageToDict(result.evaluation) == json.loads(_manifest(artifact))["evaluation"]
    assert {"confusion_matrix", "roc_curve", "feature_importance"} <= MessageToDict(result.evaluation).keys()


def _manifest(artifact: bytes) -> bytes:
    return zipfile.ZipFile(io.BytesIO(artifact)).read("manifest.json")


async def test_autogluon_is_asked_as_its_users_ask_it(start, storage):
    """002.9: names and options of AutoGluon arrive whole, and what it does not know is refused by the check."""
    source = storage[0].put("wine.csv", load_wine(as_frame=True).frame.to_csv(index=False).encode())
    wish = {"hyperparameters": {"LightGBM": {"num_boost_round": 20}, "FASTAI": {}}, "presets": ["medium"]}
    good = train_request(source, "wine", "tabular", engine="autogluon", time_limit=60, **wish)
    bad = train_request(source, "bad", "tabular", engine="autogluon", hyperparameters={"SVM": {}})
    async with start(WORKLOADS) as client:
        events = await client.trained(good)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.training.CheckTraining(bad, **client.channel.within(60))
    result = events[-1].result
    left_out = MessageToDict(result.evaluation)["left_out"]

    assert result.score > 0.8
    assert MessageToDict(result.parameters)["hyperparameters"]["GBM"] == {"num_boost_round": 20}
    assert [each["family"] for each in left_out] == list(result.unavailable) == ["FASTAI"]
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no family 'SVM'" in caught.value.details()


async def test_the_tabular_workload_is_listed(start):
    async with start(WORKLOADS) as client:
        response = await client.training.ListWorkloads(training_pb2.ListWorkloadsRequest(), **client.channel.within(60))
    listed = {workload.name: workload for workload in response.workloads}

    assert listed["tabular"].parameters_schema["properties"]
