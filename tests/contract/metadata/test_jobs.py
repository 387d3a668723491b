"""The life of a job: queued, claimed, alive, step by step, ended."""

import asyncio
import math
from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import job_pb2 as pb
from servicekit import statuses

from .conftest import Metadata

LEASE = {"seconds": 30}


async def claim(metadata: Metadata, worker: str = "w1", **fields: object) -> pb.Job | None:
    request = pb.ClaimJobRequest(**{"worker": worker, "kinds": ["train"], "lease": LEASE, **fields})
    response = await metadata.jobs.ClaimJob(request, **metadata.quick)
    return response.job if response.HasField("job") else None


async def claimed(metadata: Metadata, **fields: object) -> pb.Job:
    await metadata.job(**fields)
    job = await claim(metadata)
    assert job is not None
    return job


async def get(metadata: Metadata, job_id: str) -> pb.Job:
    return await metadata.jobs.GetJob(pb.GetJobRequest(id=job_id), **metadata.quick)


async def beat(metadata: Metadata, job: pb.Job, **fields: object) -> pb.Job:
    request = pb.HeartbeatJobRequest(id=job.id, fencing_token=job.fencing_token, lease=LEASE, **fields)
    return await metadata.jobs.HeartbeatJob(request, **metadata.quick)


async def advance(metadata: Metadata, job: pb.Job, step: str, **fields: object) -> pb.Job:
    request = pb.AdvanceJobRequest(id=job.id, fencing_token=job.fencing_token, step=step, **fields)
    return await metadata.jobs.AdvanceJob(request, **metadata.quick)


async def complete(metadata: Metadata, job: pb.Job) -> pb.Job:
    request = pb.CompleteJobRequest(id=job.id, fencing_token=job.fencing_token, result={"model_id": "m"})
    return await metadata.jobs.CompleteJob(request, **metadata.quick)


async def fail(metadata: Metadata, job: pb.Job, retry_in: float | None = None) -> pb.Job:
    error = pb.JobError(code="WORKER_DIED", message="It died.", retryable=True)
    request = pb.FailJobRequest(id=job.id, fencing_token=job.fencing_token, error=error)
    if retry_in is not None:
        request.retry_time.FromDatetime(metadata.clock() + timedelta(seconds=retry_in))
    return await metadata.jobs.FailJob(request, **metadata.quick)


async def cancel(metadata: Metadata, job: pb.Job, token: int = 0) -> pb.Job:
    return await metadata.jobs.CancelJob(pb.CancelJobRequest(id=job.id, fencing_token=token), **metadata.quick)


async def retry(metadata: Metadata, job: pb.Job) -> pb.Job:
    return await metadata.jobs.RetryJob(pb.RetryJobRequest(id=job.id), **metadata.quick)


async def test_new_job_is_queued_whatever_was_given(metadata: Metadata):
    job = await metadata.job(input={"x": 1}, status=pb.JOB_STATUS_COMPLETED, fencing_token=9, progress=1, step="train")

    assert (job.status, job.fencing_token, job.progress, job.step) == (pb.JOB_STATUS_QUEUED, 0, 0, "")
    assert job.input["x"] == 1
    assert not job.HasField("state")
    assert not job.HasField("due_time")


async def test_claim_takes_the_oldest_job_of_its_kinds(metadata: Metadata):
    await metadata.job(kind="other")
    oldest, second = await metadata.job(), await metadata.job()
    first_claim, second_claim, third_claim = [await claim(metadata) for _ in range(3)]
    running = await get(metadata, oldest.id)

    assert first_claim == running
    assert (running.status, running.lease_owner, running.fencing_token) == (pb.JOB_STATUS_RUNNING, "w1", 1)
    left = running.lease_expire_time.ToDatetime() - metadata.clock().replace(tzinfo=None)
    assert timedelta(seconds=20) < left <= timedelta(seconds=30)
    assert second_claim.id == second.id
    assert third_claim is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"worker": ""}, "worker"),
        ({"kinds": []}, "kinds"),
        ({"lease": {"seconds": 0}}, "lease"),
        ({"lease": {"seconds": 601}}, "lease"),
        ({"lease": {"seconds": 10**18}}, "lease"),
    ],
)
async def test_impossible_claim_is_refused(metadata: Metadata, fields: dict[str, object], field: str):
    request = pb.ClaimJobRequest(**{"worker": "w", "kinds": ["train"], "lease": LEASE, **fields})
    with pytest.raises(AioRpcError) as raised:
        await metadata.jobs.ClaimJob(request, **metadata.quick)

    assert statuses.field_of(raised.value) == field


async def test_sixteen_claimers_at_once_never_get_the_same_job(metadata: Metadata):
    wanted = {(await metadata.job()).id for _ in range(40)}

    async def work(worker: str) -> list[str]:
        mine = []
        while job := await claim(metadata, worker):
            mine.append(job.id)
        return mine

    shares = await asyncio.gather(*(work(f"w{number}") for number in range(16)))
    taken = [job_id for share in shares for job_id in share]

    assert len(taken) == 40
    assert set(taken) == wanted


async def test_job_is_claimed_again_once_its_lease_has_run_out(metadata: Metadata):
    first = await claimed(metadata)
    too_early = await claim(metadata, "w2")
    metadata.clock.forward(31)
    second = await claim(metadata, "w2")

    assert too_early is None
    assert second.id == first.id
    assert (second.lease_owner, second.fencing_token) == ("w2", 2)


async def test_one_job_is_claimed_by_its_id_if_it_is_due(metadata: Metadata):
    """M.8: so that one that is to be cancelled need not wait for those before it."""
    _, job, other = await metadata.job(), await metadata.job(), await metadata.job(kind="other")
    first, again = [await claim(metadata, id=job.id) for _ in range(2)]
    of_another_kind, of_none = await claim(metadata, id=other.id), await claim(metadata, id="none")
    await fail(metadata, first, 60)
    not_yet = await claim(metadata, id=job.id)
    await cancel(metadata, job)
    to_be_undone = await claim(metadata, id=job.id)

    assert (first.id, to_be_undone.id) == (job.id, job.id)
    assert to_be_undone.cancel_requested
    assert [again, of_another_kind, of_none, not_yet] == [None] * 4


async def test_heartbeat_keeps_the_lease_and_tells_how_far_it_is(metadata: Metadata):
    job = await claimed(metadata)
    metadata.clock.forward(25)
    await beat(metadata, job, progress=0.4, stage="training", message="Half the models")
    metadata.clock.forward(25)
    other = await claim(metadata, "w2")
    unchanged = await beat(metadata, job)

    assert other is None
    assert (unchanged.progress, unchanged.stage, unchanged.message) == (0.4, "training", "Half the models")


async def test_worker_thought_dead_can_change_nothing(metadata: Metadata):
    stale = await claimed(metadata)
    metadata.clock.forward(31)
    fresh = await claim(metadata, "w2")
    attempts = [
        beat(metadata, stale),
        advance(metadata, stale, "train"),
        complete(metadata, stale),
        fail(metadata, stale),
        fail(metadata, stale, retry_in=0),
        cancel(metadata, stale, stale.fencing_token),
    ]
    answers = await asyncio.gather(*attempts, return_exceptions=True)

    assert [answer.code().name for answer in answers] == ["ABORTED"] * 6
    assert {statuses.reason_of(answer) for answer in answers} == {"LEASE_LOST"}
    assert await get(metadata, stale.id) == fresh


async def test_unclaimed_job_obeys_no_token(metadata: Metadata):
    job = await metadata.job()
    answers = await asyncio.gather(
        beat(metadata, job), complete(metadata, job), fail(metadata, job, 1), return_exceptions=True
    )

    assert {statuses.reason_of(answer) for answer in answers} == {"LEASE_LOST"}


async def test_progress_never_goes_down_and_is_whole_only_when_completed(metadata: Metadata):
    job = await claimed(metadata)
    seen = []
    for progress in (0.5, 0.3, 0.7, 0.0, 1.0):
        seen.append((await beat(metadata, job, progress=progress)).progress)
    seen.append((await advance(metadata, job, "train", progress=0.1)).progress)
    seen.append((await complete(metadata, job)).progress)

    assert seen == sorted(seen)
    assert seen[-2] < 1
    assert seen[-1] == 1


@pytest.mark.parametrize("progress", [-0.1, 1.1, math.nan, math.inf])
async def test_impossible_progress_is_refused(metadata: Metadata, progress: float):
    job = await claimed(metadata)
    answers = await asyncio.gather(
        beat(metadata, job, progress=progress),
        advance(metadata, job, "s", progress=progress),
        return_exceptions=True,
    )

    assert [statuses.field_of(answer) for answer in answers] == ["progress", "progress"]


async def test_steps_carry_state_to_the_next_claim(metadata: Metadata):
    job = await claimed(metadata)
    await advance(metadata, job, "reserve", state={"run_id": "r"}, progress=0.1)
    await advance(metadata, job, "train", state={"artifact": {"size": 3}}, progress=0.8)
    again = await advance(metadata, job, "train", state={"artifact": {"size": 3}}, progress=0.8)
    metadata.clock.forward(31)
    resumed = await claim(metadata, "w2")

    assert again.step == "train"
    assert (resumed.step, resumed.progress) == ("train", 0.8)
    assert resumed.state["artifact"]["size"] == 3
    assert "run_id" not in resumed.state


async def test_completed_job_has_its_result_and_no_lease(metadata: Metadata):
    job = await claimed(metadata)
    done = await complete(metadata, job)
    again = await complete(metadata, job)

    assert done == again == await get(metadata, job.id)
    assert (done.status, done.progress, done.stage) == (pb.JOB_STATUS_COMPLETED, 1, "completed")
    assert done.result["model_id"] == "m"
    assert done.HasField("end_time")
    assert done.lease_owner == ""
    assert not done.HasField("lease_expire_time")


async def test_ended_job_takes_no_more_changes(metadata: Metadata):
    job = await claimed(metadata)
    await complete(metadata, job)
    answers = await asyncio.gather(
        beat(metadata, job), advance(metadata, job, "s"), fail(metadata, job), cancel(metadata, job),
        cancel(metadata, job, job.fencing_token), retry(metadata, job), return_exceptions=True,
    )  # fmt: skip

    assert [answer.code().name for answer in answers] == ["FAILED_PRECONDITION"] * 6
    assert await claim(metadata) is None


async def test_failed_job_has_its_error(metadata: Metadata):
    job = await claimed(metadata)
    failed = await fail(metadata, job)
    again = await fail(metadata, job)

    assert failed == again
    assert failed.status == pb.JOB_STATUS_FAILED
    assert failed.error == pb.JobError(code="WORKER_DIED", message="It died.", retryable=True)
    assert failed.HasField("end_time")
    assert await claim(metadata) is None


async def test_job_that_fails_for_now_waits_for_its_time(metadata: Metadata):
    job = await claimed(metadata)
    waiting = await fail(metadata, job, retry_in=10)
    again = await fail(metadata, job, retry_in=10)
    too_early = await claim(metadata)
    metadata.clock.forward(11)
    second = await claim(metadata)
    waiting_again = await fail(metadata, second, retry_in=0)
    third = await claim(metadata)
    advanced = await advance(metadata, third, "train")

    assert waiting == again
    assert (waiting.status, waiting.attempt, waiting.lease_owner) == (pb.JOB_STATUS_QUEUED, 1, "")
    assert waiting.error.code == "WORKER_DIED"
    assert not waiting.HasField("end_time")
    assert too_early is None
    assert second.fencing_token == 2
    assert waiting_again.attempt == 2
    assert (advanced.attempt, advanced.HasField("error")) == (0, False)


async def test_worker_that_gave_a_job_back_holds_it_no_more(metadata: Metadata):
    job = await claimed(metadata)
    await fail(metadata, job, retry_in=10)
    with pytest.raises(AioRpcError) as raised:
        await complete(metadata, job)

    assert statuses.reason_of(raised.value) == "LEASE_LOST"


async def test_job_created_for_later_waits(metadata: Metadata):
    due = Timestamp()
    due.FromDatetime(metadata.clock() + timedelta(seconds=60))
    job = await metadata.job(due_time=due)
    too_early = await claim(metadata)
    metadata.clock.forward(61)

    assert too_early is None
    assert (await claim(metadata)).id == job.id


async def test_queued_job_is_cancelled_at_once(metadata: Metadata):
    job = await metadata.job()
    cancelled = await cancel(metadata, job)
    again = await cancel(metadata, job)

    assert cancelled == again
    assert (cancelled.status, cancelled.cancel_requested) == (pb.JOB_STATUS_CANCELLED, True)
    assert cancelled.HasField("end_time")
    assert await claim(metadata) is None


async def test_running_job_is_asked_and_its_worker_records_the_end(metadata: Metadata):
    job = await claimed(metadata)
    asked = await cancel(metadata, job)
    again = await cancel(metadata, job)
    told = await beat(metadata, job)
    ended = await cancel(metadata, job, job.fencing_token)
    repeated = await cancel(metadata, job, job.fencing_token)

    assert asked == again
    assert (asked.status, asked.cancel_requested) == (pb.JOB_STATUS_RUNNING, True)
    assert told.cancel_requested
    assert ended == repeated
    assert ended.status == pb.JOB_STATUS_CANCELLED


async def test_waiting_job_with_steps_to_undo_is_due_at_once_when_cancelled(metadata: Metadata):
    job = await claimed(metadata)
    await advance(metadata, job, "reserve")
    await fail(metadata, job, retry_in=500)
    asked = await cancel(metadata, job)
    undoing = await claim(metadata)

    assert asked.status == pb.JOB_STATUS_QUEUED
    assert undoing.id == job.id
    assert undoing.cancel_requested


async def test_failed_job_begins_anew_when_its_user_retries(metadata: Metadata):
    job = await claimed(metadata, input={"x": 1})
    await advance(metadata, job, "train", state={"y": 2}, progress=0.8)
    await fail(metadata, job)
    queued = await retry(metadata, job)
    again = await retry(metadata, job)
    second = await claim(metadata)

    assert queued == again
    assert (queued.status, queued.step, queued.attempt) == (pb.JOB_STATUS_QUEUED, "", 0)
    assert not queued.HasField("error")
    assert not queued.HasField("state")
    assert not queued.HasField("end_time")
    assert queued.input["x"] == 1
    assert (second.id, second.fencing_token) == (job.id, 2)


async def test_cancelled_job_can_be_retried_and_a_job_that_never_failed_cannot(metadata: Metadata):
    cancelled, fresh = await metadata.job(), await metadata.job()
    await cancel(metadata, cancelled)
    queued = await retry(metadata, cancelled)
    with pytest.raises(AioRpcError) as raised:
        await retry(metadata, fresh)

    assert (queued.status, queued.cancel_requested) == (pb.JOB_STATUS_QUEUED, False)
    assert raised.value.code().name == "FAILED_PRECONDITION"


async def test_watcher_sees_the_job_now_and_every_change_until_it_ends(metadata: Metadata):
    job = await metadata.job()
    seen: list[pb.Job] = []

    async def watch() -> None:
        async for update in metadata.jobs.WatchJob(pb.WatchJobRequest(id=job.id), **metadata.quick):
            seen.append(update)

    watching = asyncio.create_task(watch())
    while not seen:
        await asyncio.sleep(0.01)
    held = await claim(metadata)
    for progress in (0.2, 0.4, 0.6):
        await beat(metadata, held, progress=progress)
        async with asyncio.timeout(5):
            while seen[-1].progress != progress:
                await asyncio.sleep(0.01)
    await complete(metadata, held)
    async with asyncio.timeout(5):
        await watching

    assert seen[0].status == pb.JOB_STATUS_QUEUED
    assert [each.progress for each in seen] == sorted(each.progress for each in seen)
    assert [each.status for each in seen].count(pb.JOB_STATUS_COMPLETED) == 1
    assert seen[-1].status == pb.JOB_STATUS_COMPLETED
    assert seen[-1].result["model_id"] == "m"


async def test_watch_of_an_ended_job_sends_it_once(metadata: Metadata):
    job = await metadata.job()
    await cancel(metadata, job)
    seen = [each async for each in metadata.jobs.WatchJob(pb.WatchJobRequest(id=job.id), **metadata.quick)]

    assert [each.status for each in seen] == [pb.JOB_STATUS_CANCELLED]


async def test_watch_of_no_job_is_not_found(metadata: Metadata):
    with pytest.raises(AioRpcError) as raised:
        await anext(aiter(metadata.jobs.WatchJob(pb.WatchJobRequest(id="no"), **metadata.quick)))

    assert raised.value.code().name == "NOT_FOUND"


async def test_many_watchers_all_see_the_end(metadata: Metadata):
    job = await metadata.job()

    async def last() -> int:
        statuses_seen = [
            each.status async for each in metadata.jobs.WatchJob(pb.WatchJobRequest(id=job.id), **metadata.quick)
        ]
        return statuses_seen[-1]

    watching = [asyncio.create_task(last()) for _ in range(20)]
    await asyncio.sleep(0.1)
    await cancel(metadata, job)

    assert set(await asyncio.gather(*watching)) == {pb.JOB_STATUS_CANCELLED}


async def test_watch_ends_when_the_server_stops(metadata: Metadata):
    job = await metadata.job()
    stream = metadata.jobs.WatchJob(pb.WatchJobRequest(id=job.id), **metadata.quick)
    await stream.read()
    metadata.drain()
    with pytest.raises(AioRpcError) as raised:
        await stream.read()

    assert raised.value.code().name == "UNAVAILABLE"
    assert statuses.reason_of(raised.value) == "STOPPING"
