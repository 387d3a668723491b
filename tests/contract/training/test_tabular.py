"""The real thing: a real dataset through the service as it runs."""

import hashlib
import io
import zipfile

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


async def test_the_tabular_workload_is_listed(start):
    async with start(WORKLOADS) as client:
        response = await client.training.ListWorkloads(training_pb2.ListWorkloadsRequest(), **client.channel.within(10))

    workloads = {workload.name: workload for workload in response.workloads}

    assert workloads["tabular"].parameters_schema["properties"]
