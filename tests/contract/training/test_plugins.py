"""Workloads that others add: a distribution beside ours declares one, and nothing of ours is touched."""

import hashlib
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from modelyard.training.v1 import training_pb2
from services.training import workloads
from tests.contract.training.conftest import train_request
from tests.contract.training.test_restart import connected, process

PLUGIN = Path(__file__).with_name("plugin")
TEXTS = b"text,label\n" + b"good fine,yes\nbad poor,no\ngood,yes\npoor,no\n" * 6


@pytest.fixture
async def client(storage, tmp_path, monkeypatch):
    """A service beside which the distribution of `plugin` is installed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])]))
    with process(tmp_path, storage[1], "services.training"):
        client = await connected(tmp_path)
        yield client
        await client.channel.close()


async def listed(client) -> dict[str, training_pb2.Workload]:
    answer = await client.training.ListWorkloads(training_pb2.ListWorkloadsRequest(), **client.channel.within(120))
    return {each.name: each for each in answer.workloads}


async def test_a_workload_of_another_distribution_is_listed_trained_and_asked(client, storage):
    """000.12: what can be trained is open to others, by an entry point of their own distribution."""
    source = storage[0].put("texts.csv", TEXTS)
    found = (await listed(client))["counting_words"]
    *_, last = await client.trained(train_request(source, "t1", "counting_words", least_count=2))
    package = b"".join(await client.artifact("t1"))
    storage[0].put("package", package)
    header = training_pb2.PredictHeader(
        package={"placement": "models", "key": "package", "sha256": hashlib.sha256(package).hexdigest()},
        row_format=training_pb2.ROW_FORMAT_JSON,
    )
    asked = [
        training_pb2.PredictRequest(header=header),
        training_pb2.PredictRequest(chunk=b'[{"text": "so poor"}, {"text": "fine"}]'),
    ]
    [answer] = [part async for part in client.training.Predict(iter(asked), **client.channel.within(60))]
    asked[0].header.row_format = training_pb2.ROW_FORMAT_COLUMNS
    asked[1].chunk = b'{"text": ["so poor", "fine"]}'
    [by_columns] = [part async for part in client.training.Predict(iter(asked), **client.channel.within(60))]

    assert (list(found.inputs), list(found.outputs), found.resources.cpus) == (["table"], ["binary"], 0.5)
    assert (last.result.workload, last.result.engine, last.result.score) == ("counting_words", "counting", 1.0)
    assert [answer.classes[place].string_value for place in answer.class_indexes] == ["no", "yes"]
    assert by_columns == answer, "it knows only rows"


async def test_what_cannot_be_imported_is_left_out_and_ours_is_not_replaced(client):
    """000.12: a broken distribution takes nothing down, whether it fails when it is imported, made or listed, and none
    takes the place of a workload of ours."""
    found = await listed(client)

    assert set(found) == {"counting_words", "image_classification", "object_detection", "tabular"}
    assert found["tabular"].description.startswith("Learns from a CSV table")
    assert found["tabular"].resources.cpus == 1


def test_the_log_says_which_were_left_out_and_why(monkeypatch):
    """000.12."""
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setattr(workloads, "_declared", workloads._declared.__wrapped__)
    with capture_logs() as log:
        found = [each.name for each in workloads.all_workloads()]
    reasons = {line["name"]: line["reason"] for line in log if line["event"] == "workload left out"}

    assert reasons.keys() == {"another_name", "asks_to_be_made", "leaves", "missing_file", "missing_library"}
    assert reasons.keys().isdisjoint(found)
    assert reasons["missing_file"].startswith("FileNotFoundError: ")
    assert "'the_other_name'" in reasons["another_name"]
