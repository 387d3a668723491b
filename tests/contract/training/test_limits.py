"""What a training may take of the machine, over the wire: memory, time, processors, and places in the queue."""

import asyncio
import os
from contextlib import asynccontextmanager

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from modelyard.training.v1 import training_pb2
from servicekit import statuses
from services.training.adapters import processes
from services.training.domain.messages import TrainTask
from tests.contract.training.conftest import Client, first_pids, train_request
from tests.contract.training.test_failures import failure, gone

MIB = 1024 * 1024


async def ended(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            pass
    return caught.value


def hint(error: grpc.aio.AioRpcError) -> error_details_pb2.RetryInfo | None:
    """When to repeat the call, as far as it says."""
    found = error_details_pb2.RetryInfo()
    status = rpc_status.from_call(error)
    return found if status and any(packed.Unpack(found) for packed in status.details) else None


async def test_past_its_memory_a_training_is_stopped_with_all_it_started(start, table):
    """M.8: what all its processes take together counts, and a repeat, which would end the same, is not asked for."""
    async with start(memory_bytes=256 * MIB) as client:
        call = client.train(train_request(table, workload="gorges", bytes=400 * MIB))
        pids = await first_pids(call)
        error = await ended(call)
        after = await client.trained(train_request(table, "t2"))

        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert statuses.reason_of(error) == "MEMORY_LIMIT"
        assert "more than 256 MiB" in error.details()
        assert "TRAINING_MEMORY_BYTES" in error.details()
        assert not statuses.is_transient(error)
        assert await gone(pids)
        assert after[-1].HasField("result")
        assert client.left_behind() == ["model_t2"]


async def test_one_allocation_past_the_memory_is_refused_before_the_machine_suffers(start, table):
    async with start(memory_bytes=256 * MIB) as client:
        error = await failure(client, train_request(table, workload="gorges", bytes=2**44, at_once=True))

        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert statuses.reason_of(error) == "MEMORY_LIMIT"
        assert client.left_behind() == []


async def test_a_failed_allocation_is_told_as_the_limit_that_it_met(client: Client, table):
    """Without a setting the limit is the machine's memory, but for a tenth, shared among the trainings."""
    error = await failure(client, train_request(table, workload="starves"))

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "GiB of memory" in error.details()


@pytest.mark.parametrize(
    ("limit", "ends", "named"),
    [
        (512 * MIB, (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_TOO_LARGE"), "512 MiB"),
        (0, (grpc.StatusCode.ABORTED, "WORKER_DIED"), "out of memory"),
    ],
)
async def test_a_model_that_does_not_fit_is_told_as_the_limit_that_it_met(start, storage, limit, ends, named):
    """M.8: a repeat would end the same; without a limit it is the machine that had no more, which may change."""
    stored = storage[0].put("u1/m1/package.zip", b"large")
    package = training_pb2.PackageSource(placement="datasets", key=stored.key, sha256=stored.sha256)
    header = training_pb2.PredictHeader(package=package, row_format=training_pb2.ROW_FORMAT_JSON, first_chunk=b"[{}]")
    async with start(predict_memory_bytes=limit) as client:
        question = iter([training_pb2.PredictRequest(header=header)])
        error = await ended(client.training.Predict(question, **client.channel.within(60)))

    assert (error.code(), statuses.reason_of(error)) == ends
    assert named in error.details()
    assert ("TRAINING_PREDICT_MEMORY_BYTES" in error.details()) == bool(limit)


async def test_memory_below_the_limit_is_left_alone(start, table):
    async with start(memory_bytes=256 * MIB, seconds=3) as client:
        error = await failure(client, train_request(table, workload="gorges", bytes=100 * MIB))

        assert statuses.reason_of(error) == "TIME_LIMIT"


async def past_its_time(start, table, *limits: int) -> tuple[int, list[int], grpc.aio.AioRpcError, list[str]]:
    """How a training ends that takes too long: under which limit, with which processes, as what, and what it leaves.

    On a busy machine it may take longer than the first limit to tell its processes; then the next one holds.
    """
    for seconds in limits:
        async with start(seconds=seconds) as client:
            call = client.train(train_request(table, f"t{seconds}", "lingers"))
            try:
                pids = await first_pids(call)
            except grpc.aio.AioRpcError as too_early:
                if statuses.reason_of(too_early) != "TIME_LIMIT":
                    raise
            else:
                error = await ended(call)
                return seconds, pids, error, client.left_behind()
    raise AssertionError(f"it told nothing in {limits[-1]} seconds")


async def test_past_its_time_a_training_is_stopped(start, table):
    seconds, pids, error, left = await past_its_time(start, table, 4, 30)

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert statuses.reason_of(error) == "TIME_LIMIT"
    assert f"longer than {seconds} seconds" in error.details()
    assert "TRAINING_SECONDS" in error.details()
    assert await gone(pids)
    assert left == []


@asynccontextmanager
async def started_by_one_who_is_busy(task, folder, *rest):
    """As it is started, but that the service comes to look when the training is over."""
    async with processes_started(task, folder, *rest) as started:
        while isinstance(task, TrainTask) and not (folder / "artifact.zip").exists():
            await asyncio.sleep(0.02)
        yield started


processes_started = processes.started


@pytest.mark.parametrize("started", [processes.started, started_by_one_who_is_busy])
async def test_a_training_lets_others_go_first_and_keeps_to_its_processors(start, table, monkeypatch, started):
    """M.8: the gateway and the services stay responsive while every worker is busy, and whatever else they do."""
    monkeypatch.setattr(processes, "started", started)
    async with start(max_workers=len(os.sched_getaffinity(0))) as client:
        events = await client.trained(train_request(table, workload="stands"))
        told = next(event.progress.message for event in events if event.progress.message.startswith("nice"))

    assert told.startswith("nice 5 ")
    assert len(told.rpartition(" ")[2].split(",")) == 1


async def test_past_the_queue_a_training_is_refused_with_a_hint_when_to_repeat(start, table):
    async with start(max_workers=1, queue_limit=1) as client:
        running = client.train(train_request(table, "t1", "lingers"))
        await first_pids(running)
        waiting = client.train(train_request(table, "t2", "lingers"))
        first = await anext(aiter(waiting))
        error = await failure(client, train_request(table, "t3"))
        delay = hint(error)
        for name in ("t2", "t1"):
            await client.cancel(name)

        assert first.progress.stage == "queued"
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert statuses.reason_of(error) == "QUEUE_FULL"
        assert delay is not None
        assert delay.retry_delay.seconds > 0
