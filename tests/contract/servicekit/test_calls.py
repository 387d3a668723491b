"""What happens around a call, seen from the caller's side of the wire."""

import asyncio

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from grpc_health.v1 import health_pb2, health_pb2_grpc

from modelyard.metadata.v1.job_pb2 import GetJobRequest, Job, WatchJobRequest
from modelyard.metadata.v1.job_pb2_grpc import JobServiceStub
from servicekit import errors, statuses

PATIENCE_SECONDS = 30


class ShelfFull(errors.Exhausted):
    """The shelf {number} is full. Take something off it."""


class NameTaken(errors.InvalidInput):
    """The name is taken. Choose another."""

    field = "name"


async def outcome(channel, id_: str = "", seconds: float = PATIENCE_SECONDS) -> AioRpcError | Job:
    """What a unary call ends with."""
    try:
        return await JobServiceStub(channel.grpc).GetJob(GetJobRequest(id=id_), **channel.within(seconds))
    except AioRpcError as error:
        return error


async def raises(problem: Exception):
    """A behaviour that fails."""
    raise problem


async def test_an_error_arrives_with_its_sentence_and_reason(served):
    """STYLE 3 and 4: the docstring is the message, the class name the reason, its kind the status."""
    async with served(lambda _: raises(ShelfFull(number=7))) as channel:
        error = await outcome(channel)

    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == "The shelf 7 is full. Take something off it."
    assert statuses.reason_of(error) == "SHELF_FULL"
    assert statuses.is_transient(error)


async def test_a_wrong_field_is_named(served):
    async with served(lambda _: raises(NameTaken())) as channel:
        error = await outcome(channel)

    assert error.code() is StatusCode.INVALID_ARGUMENT
    assert statuses.field_of(error) == "name"
    assert not statuses.is_transient(error)


class NameUnknown(errors.InvalidInput):
    """There is no column {name}. Its columns are a and b."""

    field = "target"


@pytest.mark.parametrize("name", ["n" * 20_000, "%" * 20_000, "測" * 20_000, "a" * 5_000 + "é" * 5_000, "\n" * 9_000])
async def test_a_sentence_too_long_for_a_status_is_shortened(served, name):
    """000.11: gRPC would throw the status away, and the caller learn of a full channel, which is worth a repeat."""
    async with served(lambda _: raises(NameUnknown(name=name))) as channel:
        error = await outcome(channel)

    assert error.code() is StatusCode.INVALID_ARGUMENT
    assert (statuses.reason_of(error), statuses.field_of(error)) == ("NAME_UNKNOWN", "target")
    assert error.details().startswith(f"There is no column {name[:200]}")
    assert error.details().endswith(f"{name[-100:]}. Its columns are a and b.")
    assert not statuses.is_transient(error)


async def test_a_sentence_that_fits_is_left_as_it_is(served):
    async with served(lambda _: raises(NameUnknown(name="n" * 1_500))) as channel:
        error = await outcome(channel)

    assert error.details() == NameUnknown(name="n" * 1_500).message


async def test_a_status_that_the_transport_throws_away_is_not_worth_a_repeat(served):
    """000.11: the next one would be as long."""
    nothing = Metadata()
    behind = AioRpcError(StatusCode.NOT_FOUND, nothing, nothing, details="n" * 20_000)
    async with served(lambda _: raises(behind)) as channel:
        error = await outcome(channel)

    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    assert statuses.reason_of(error) == "RESOURCE_EXHAUSTED"
    assert not statuses.is_transient(error)


async def test_what_nobody_foresaw_stays_in_the_log(served):
    """The text of an unexpected error never reaches a client."""
    async with served(lambda _: raises(KeyError("password=hunter2"))) as channel:
        error = await outcome(channel)

    assert error.code() is StatusCode.INTERNAL
    assert "hunter2" not in (error.details() or "")


async def test_an_error_in_mid_stream_is_mapped_too(served):
    received = []
    async with served(lambda _: raises(ShelfFull(number=1))) as channel:
        watched = JobServiceStub(channel.grpc).WatchJob(WatchJobRequest(), **channel.within(PATIENCE_SECONDS))
        with pytest.raises(AioRpcError) as caught:
            async for job in watched:
                received.append(job.id)

    assert received == ["first"]
    assert statuses.reason_of(caught.value) == "SHELF_FULL"


async def test_an_error_of_a_service_behind_is_passed_on_whole(served):
    """What a service calls may fail; its caller learns the same status, sentence and reason."""
    async with served(lambda _: raises(ShelfFull(number=3)), name="behind") as behind:

        async def ask(_: str) -> Job:
            return await JobServiceStub(behind.grpc).GetJob(GetJobRequest(), **behind.within(PATIENCE_SECONDS))

        async with served(ask, name="front") as front:
            error = await outcome(front)

    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    assert error.details().startswith("The shelf 3")
    assert statuses.reason_of(error) == "SHELF_FULL"


async def test_the_callers_deadline_ends_the_work(served):
    """A deadline is passed on: the work stops when nobody waits for it any more."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(_: str) -> Job:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return Job()

    async with served(slow) as channel:
        await channel.grpc.channel_ready()
        while not begun.is_set():  # on a busy machine the deadline may come before the call does
            error = await outcome(channel, seconds=0.2)
        await asyncio.wait_for(ended.wait(), PATIENCE_SECONDS)

    assert error.code() is StatusCode.DEADLINE_EXCEEDED


async def test_a_call_that_is_cancelled_stops_the_work(served):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(_: str) -> Job:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return Job()

    async with served(slow) as channel:
        call = JobServiceStub(channel.grpc).GetJob(GetJobRequest(), **channel.within(60))
        task = asyncio.ensure_future(call)
        await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
        call.cancel()
        await asyncio.wait_for(ended.wait(), PATIENCE_SECONDS)

    assert task.cancelled() or isinstance(task.exception(), asyncio.CancelledError)


@pytest.mark.parametrize(
    ("call_token", "code"), [("right", None), ("wrong", StatusCode.UNAUTHENTICATED), ("", StatusCode.UNAUTHENTICATED)]
)
async def test_only_who_knows_the_token_is_let_in(served, call_token: str, code: StatusCode | None):
    async def fine(_: str) -> Job:
        return Job(id="fine")

    async with served(fine, token="right", call_token=call_token) as channel:
        end = await outcome(channel)

    assert (end.code() if isinstance(end, AioRpcError) else None) is code


async def test_health_follows_the_probes(served):
    """Health says what the adapters say, and needs no token."""
    broken = []

    async def probe() -> None:
        if broken:
            raise ConnectionError("the disk is gone")

    async def status(channel) -> int:
        stub = health_pb2_grpc.HealthStub(channel.grpc)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), **channel.within(PATIENCE_SECONDS))
        return answer.status

    async def becomes(channel, wanted: int) -> bool:
        for _ in range(300):
            if await status(channel) == wanted:
                return True
            await asyncio.sleep(0.1)
        return False

    async with served(lambda _: raises(KeyError()), {"disk": probe}, token="secret") as channel:
        assert await becomes(channel, health_pb2.HealthCheckResponse.SERVING)

        broken.append(True)

        assert await becomes(channel, health_pb2.HealthCheckResponse.NOT_SERVING)


async def test_draining_lets_a_running_call_finish(served):
    """On SIGTERM what runs may end; only what is new is refused."""
    begun = asyncio.Event()

    async def slow(_: str) -> Job:
        begun.set()
        await asyncio.sleep(0.5)
        return Job(id="done")

    serve = served(slow)
    channel = await serve.__aenter__()
    running = asyncio.create_task(outcome(channel))
    await begun.wait()
    channel.close = _nothing
    await serve.__aexit__(None, None, None)

    assert (await running).id == "done"


async def _nothing() -> None:
    """Keep the channel open while its server drains."""
