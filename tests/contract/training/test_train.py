"""TrainingService over the wire: training, joining, keeping, releasing."""

import asyncio
import hashlib

import grpc
import pytest

from modelyard.training.v1 import training_pb2
from servicekit import statuses
from tests.contract.training.conftest import Client, first_pids, train_request


async def test_progress_never_goes_down_and_the_result_comes_last(client: Client, table):
    events = await client.trained(train_request(table))
    fractions = [event.progress.fraction for event in events if event.HasField("progress")]
    kinds = [event.WhichOneof("event") for event in events]
    result = events[-1].result

    assert fractions == sorted(fractions)
    assert {"progress", "metric"} <= set(kinds[:-1])
    assert kinds[-1] == "result"
    assert result.training_id == "t1"
    assert result.target == "b"
    assert result.problem_type == training_pb2.PROBLEM_TYPE_BINARY
    assert result.dataset_sha256 == table.sha256
    assert result.end_time.ToDatetime() >= result.start_time.ToDatetime()


async def test_a_finished_training_is_not_repeated(client: Client, storage, table):
    """M.3: a repeat tells what was measured and the result, and the dataset is read once: whoever followed the training
    may have left before its end."""
    first = await client.trained(train_request(table))
    again = await client.trained(train_request(table))

    assert len(again) > 1
    assert again == [event for event in first if not event.HasField("progress")]
    assert storage[0].downloads == 1


async def test_the_artifact_comes_in_small_chunks_and_whole(client: Client, table):
    result = (await client.trained(train_request(table)))[-1].result
    chunks = await client.artifact("t1")

    assert max(map(len, chunks)) <= 256 * 1024
    assert hashlib.sha256(b"".join(chunks)).hexdigest() == result.artifact_sha256
    assert sum(map(len, chunks)) == result.artifact_size


async def test_only_artifact_spec_and_result_are_kept(client: Client, table):
    await client.trained(train_request(table))

    assert sorted(path.name for path in (client.scratch / "model_t1").iterdir()) == [
        "artifact.zip",
        "result.jsonl",
        "spec.json",
    ]


async def test_release_removes_everything_and_may_be_repeated(client: Client, table):
    result = (await client.trained(train_request(table)))[-1].result
    first, second = await client.release("t1"), await client.release("t1")
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await client.artifact("t1")

    assert first.size >= result.artifact_size
    assert second.size == 0
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
    assert client.left_behind() == []


async def test_another_training_under_the_same_name_is_refused(client: Client, table):
    await client.trained(train_request(table))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.trained(train_request(table, pause=0.01))

    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_several_callers_follow_one_training(client: Client, storage, table):
    """One who joins starts with the newest progress and gets the same result; one who leaves stops nothing."""
    request = train_request(table, pause=1)
    leaving = client.train(request)
    first = asyncio.create_task(client.trained(request))
    async for event in leaving:
        if event.progress.stage == "preparing" and event.progress.fraction >= 0.1:
            break
    leaving.cancel()
    joined = await client.trained(request)
    events = await first

    assert joined[0].HasField("progress")
    assert joined[0].progress.fraction >= 0.1
    assert joined[-1].result == events[-1].result
    assert storage[0].downloads == 1


async def test_a_training_goes_on_when_nobody_listens(client: Client, table):
    call = client.train(train_request(table, pause=0.2))
    await anext(aiter(call))
    call.cancel()
    await asyncio.sleep(0.1)
    events = await client.trained(train_request(table, pause=0.2))

    assert events[-1].HasField("result")


async def test_what_is_printed_does_not_disturb(client: Client, table):
    """The workload prints to standard output all the time; every message arrives all the same."""
    events = await client.trained(train_request(table))

    assert [event.metric.value for event in events if event.HasField("metric")] == [0.75]


async def test_those_beyond_the_workers_wait_in_order(start, table):
    async with start(max_workers=1) as client:
        calls, first = [], []
        for name, workload in (("t0", "lingers"), ("t1", "copies"), ("t2", "copies")):
            calls.append(client.train(train_request(table, name, workload)))
            first.append(await anext(aiter(calls[-1])))
        await client.cancel("t0")
        ends = [[event async for event in call][-1] for call in calls[1:]]

    assert [event.progress.stage for event in first] == ["preparing", "queued", "queued"]
    assert "number 2 in the queue" in first[2].progress.message
    assert all(end.HasField("result") for end in ends)


async def test_a_full_queue_refuses(start, table):
    async with start(max_workers=1, queue_limit=1) as client:
        running = client.train(train_request(table, "t1", "lingers"))
        await first_pids(running)
        waiting = client.train(train_request(table, "t2"))
        await anext(aiter(waiting))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.trained(train_request(table, "t3"))
        await client.cancel("t2")

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert statuses.reason_of(refused.value) == "QUEUE_FULL"
    assert f"in {statuses.after_seconds(refused.value)} seconds" in refused.value.details()


async def test_workloads_are_listed_with_their_parts(client: Client):
    response = await client.training.ListWorkloads(training_pb2.ListWorkloadsRequest(), **client.channel.within(60))
    copies = next(workload for workload in response.workloads if workload.name == "copies")

    assert [workload.name for workload in response.workloads] == sorted(w.name for w in response.workloads)
    assert list(copies.available) == ["copying"]
    assert list(copies.unavailable) == ["magic"]
    assert "pause" in copies.parameters_schema["properties"]


async def test_a_check_settles_the_plan_and_leaves_nothing(client: Client, table):
    plan = await client.training.CheckTraining(train_request(table), **client.channel.within(120))

    assert (plan.target, plan.row_count, plan.feature_count, plan.engine) == ("b", 4, 1, "copy")
    assert client.left_behind() == []
