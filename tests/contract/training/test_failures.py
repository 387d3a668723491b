"""TrainingService over the wire: what goes wrong, and what is left of it."""

import asyncio
import os
import signal
import time

import grpc
import psutil
import pytest

from modelyard.training.v1 import training_pb2
from servicekit import statuses
from servicekit.channels import Channel
from tests.contract.training.conftest import Client, first_pids, train_request


async def gone(pids: list[int], seconds: float = 30.0) -> bool:
    """Whether the processes end within so many seconds, which a busy machine may need; a zombie has ended."""
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def failure(client: Client, request: training_pb2.TrainRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.trained(request)
    return caught.value


async def test_cancel_kills_the_worker_with_its_children_and_removes_its_files(client: Client, table):
    """Within two seconds; a machine that does something else may hold it up, but not three times."""
    took = []
    for name in ("t1", "t2", "t3"):
        call = client.train(train_request(table, name, "lingers"))
        pids = await first_pids(call)
        began = time.monotonic()
        answer = await client.cancel(name)
        ends = await gone(pids)
        took.append(time.monotonic() - began)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await anext(aiter(call))

        assert answer.stopped
        assert ends
        assert client.left_behind() == []
        assert ended.value.code() is grpc.StatusCode.CANCELLED
        assert statuses.reason_of(ended.value) == "TRAINING_CANCELLED"
        if took[-1] < 2:
            break

    assert min(took) < 2


async def test_cancel_also_ends_what_has_left_the_workers_group(client: Client, table):
    pids = await first_pids(client.train(train_request(table, workload="escapes")))
    await client.cancel("t1")

    assert await gone(pids)
    assert client.left_behind() == []


async def test_a_cancelled_name_never_trains_again_not_even_after_a_restart(start, table):
    async with start() as client:
        await client.cancel("t1")
        at_once = await failure(client, train_request(table))
    async with start() as client:
        later = await failure(client, train_request(table))

    assert at_once.code() is grpc.StatusCode.CANCELLED
    assert later.code() is grpc.StatusCode.CANCELLED


async def test_cancel_succeeds_for_the_unknown_the_finished_and_the_cancelled(client: Client, table):
    await client.trained(train_request(table))
    answers = [await client.cancel("unknown"), await client.cancel("t1"), await client.cancel("t1")]

    assert [answer.stopped for answer in answers] == [False, False, False]
    assert client.left_behind() == []


async def test_a_cancel_while_it_waits_for_its_turn(start, table):
    async with start(max_workers=1) as client:
        await first_pids(client.train(train_request(table, "t1", "lingers")))
        waiting = client.train(train_request(table, "t2"))
        await anext(aiter(waiting))
        answer = await client.cancel("t2")
        await client.cancel("t1")
        after = await client.trained(train_request(table, "t3"))

    assert answer.stopped
    assert after[-1].HasField("result")


async def test_a_worker_that_is_killed_is_a_clear_error_and_leaves_nothing(client: Client, table):
    """ABORTED, which says that a repeat may help; the children of the worker go as well."""
    call = client.train(train_request(table, workload="lingers"))
    pids = await first_pids(call)
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await anext(aiter(call))

    assert ended.value.code() is grpc.StatusCode.ABORTED
    assert statuses.reason_of(ended.value) == "WORKER_DIED"
    assert "signal 9 (SIGKILL)" in ended.value.details()
    assert await gone(pids)
    assert client.left_behind() == []


async def test_another_end_of_a_worker_is_told_as_it_was(client: Client, table):
    error = await failure(client, train_request(table, workload="faults"))

    assert error.code() is grpc.StatusCode.ABORTED
    assert "signal 11 (SIGSEGV)" in error.details()
    assert "ran out of memory" not in error.details()


async def test_a_check_whose_caller_gives_up_is_stopped(client: Client, table):
    before = psutil.Process().children()  # the servers of other tests
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await client.training.CheckTraining(train_request(table, workload="dawdles"), **client.channel.within(1))
    async with asyncio.timeout(30):
        while client.left_behind() or any(_runs(child) for child in psutil.Process().children() if child not in before):
            await asyncio.sleep(0.02)

    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_an_artifact_that_is_not_what_the_workload_says_is_not_kept(client: Client, table):
    error = await failure(client, train_request(table, workload="lies"))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert client.left_behind() == []


async def test_a_repeat_after_a_dead_worker_trains_anew(client: Client, table):
    call = client.train(train_request(table, workload="lingers"))
    os.kill((await first_pids(call))[0], signal.SIGKILL)
    with pytest.raises(grpc.aio.AioRpcError):
        await anext(aiter(call))
    events = await client.trained(train_request(table))

    assert events[-1].HasField("result")


async def test_what_a_workload_refuses_reaches_the_caller_as_it_was_said(client: Client, table):
    trained = await failure(client, train_request(table, workload="refuses"))
    with pytest.raises(grpc.aio.AioRpcError) as checked:
        await client.training.CheckTraining(train_request(table, workload="refuses"), **client.channel.within(120))

    for error in (trained, checked.value):
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert statuses.reason_of(error) == "ONE_CLASS"
        assert statuses.field_of(error) == "target"
        assert "'species'" in error.details()
    assert client.left_behind() == []


async def test_bad_parameters_are_refused(client: Client, table):
    error = await failure(client, train_request(table, pause=-1))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert statuses.reason_of(error) == "BAD_PARAMETERS"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
async def test_a_parameter_that_is_no_number_of_json_is_refused(client: Client, table, number):
    """M.3: a request that no repeat makes right says so; protobuf carries what JSON has not."""
    error = await failure(client, train_request(table, pause=number))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert statuses.reason_of(error) == "PARAMETERS_NOT_JSON"
    assert statuses.field_of(error) == "parameters"


async def test_an_unforeseen_error_tells_the_caller_no_secret(client: Client, table):
    error = await failure(client, train_request(table, workload="breaks"))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()
    assert client.left_behind() == []


async def test_a_worker_cannot_write_outside_its_folder(client: Client, table, tmp_path):
    error = await failure(client, train_request(table, workload="strays", path=str(tmp_path / "stray")))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert not (tmp_path / "stray").exists()


async def test_a_worker_learns_none_of_our_secrets(client: Client, table, monkeypatch):
    monkeypatch.setenv("MODELYARD_SERVICE_TOKEN", "hidden")
    monkeypatch.setenv("SOME_DATABASE_URL", "scheme://user:hidden@host")
    events = await client.trained(train_request(table, workload="tells"))
    told = next(event.progress.message for event in events if "PATH=" in event.progress.message)

    assert "hidden" not in told
    assert f"TMPDIR={client.scratch}/model_t1/tmp" in told


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "é", "x" * 101])
async def test_a_hostile_training_id_is_refused_everywhere(client: Client, table, name):
    error = await failure(client, train_request(table, training_id=name))
    with pytest.raises(grpc.aio.AioRpcError) as cancelled:
        await client.cancel(name)
    with pytest.raises(grpc.aio.AioRpcError) as released:
        await client.release(name)
    with pytest.raises(grpc.aio.AioRpcError) as read:
        await client.artifact(name)

    for refused in (error, cancelled.value, released.value, read.value):
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert statuses.field_of(refused) == "training_id"


async def test_an_unknown_workload_is_refused(client: Client, table):
    error = await failure(client, train_request(table, workload="sorcery"))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert statuses.field_of(error) == "workload"


async def test_a_dataset_that_is_not_there(client: Client, table):
    table.key = "missing"
    error = await failure(client, train_request(table))

    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert client.left_behind() == []


async def test_a_dataset_that_cannot_be_read_now(client: Client, table):
    table.key = "away"
    error = await failure(client, train_request(table))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert statuses.reason_of(error) == "DATASET_UNREADABLE"
    assert client.left_behind() == []


async def test_a_dataset_whose_bytes_changed(client: Client, table):
    table.sha256 = "0" * 64
    error = await failure(client, train_request(table))

    assert error.code() is grpc.StatusCode.DATA_LOSS
    assert client.left_behind() == []


async def test_a_service_that_stops_tells_its_callers_to_repeat(start, table):
    async with start() as client:
        # A channel of its own, which is there until the answer was heard.
        caller = Client(Channel(client.channel.address), client.scratch)
        call = caller.train(train_request(table, workload="lingers"))
        pids = await first_pids(call)
        following = asyncio.create_task(_rest(call))
        scratch = client.scratch
    error = await following
    await caller.channel.close()

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert await gone(pids)
    assert [path.name for path in scratch.iterdir() if path.name.startswith("model_")] == []


async def _rest(call) -> grpc.aio.AioRpcError:
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("it ended well")


async def test_a_full_disk_is_told_and_may_be_tried_again(client: Client, table):
    """M.8: whatever a library makes of it."""
    error = await failure(client, train_request(table, "t1", "fills"))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert statuses.reason_of(error) == "DISK_FULL"
    assert statuses.is_transient(error)
    assert client.left_behind() == []
