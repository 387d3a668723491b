"""Carrying a flow through: what cannot be recorded fails for good, as a step does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict

from gateway.flows import engine
from gateway.flows.claim import Claim
from gateway.flows.engine import Flow, NestedTooDeep, State, Step, as_struct, carry, retry_seconds
from gateway.peers import Peers
from modelyard.metadata.v1.job_pb2 import (
    JOB_STATUS_FAILED,
    JOB_STATUS_QUEUED,
    ClaimJobRequest,
    CreateJobRequest,
    GetJobRequest,
    Job,
)
from servicekit.errors import Conflict, LimitReached, Problem, Unavailable
from tests.contract.gateway.standing import standing


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[Peers]:
    async with standing(tmp_path) as services:
        yield services.peers


async def claimed(peers: Peers) -> Claim:
    await peers.jobs.CreateJob(CreateJobRequest(job=Job(user_id="ada", kind="trial"), request_id="1"), **peers.quick)
    lease = Duration(seconds=60)
    answer = await peers.jobs.ClaimJob(ClaimJobRequest(worker="w", kinds=["trial"], lease=lease), **peers.quick)
    return Claim(peers, answer.job, 60)


def leaves(value: Any, undone: list[State]) -> Flow:
    """A flow of two steps, of which the second leaves a value."""

    async def begin(_: Claim, state: State) -> None:
        state["begun"] = True

    async def leave(_: Claim, state: State) -> None:
        state["left"] = value

    async def undo(_: Claim, state: State) -> None:
        undone.append(dict(state))

    return Flow("trial", [Step("begin", begin, undo), Step("leave", leave, undo)], result=lambda state: state)


def deep(levels: int, wrap: Any) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("a\0b", "FIELD_MALFORMED"),
        ("x" * 5 * 2**20, "RESOURCE_EXHAUSTED"),
        (deep(99, lambda inner: [inner]), "NESTED_TOO_DEEP"),
        ({"half of a character": ["\ud800"]}, "TEXT_UNFIT"),
    ],
)
async def test_what_cannot_be_recorded_ends_the_job_and_undoes_it(peers: Peers, value: Any, code: str):
    """It would be so at every attempt: a job that is tried again for ever ends for nobody."""
    claim, undone = await claimed(peers), []
    await carry(leaves(value, undone), claim)
    job = await peers.jobs.GetJob(GetJobRequest(id=claim.job.id), **peers.quick)

    assert job.status == JOB_STATUS_FAILED
    assert (job.error.code, job.error.retryable) == (code, False)
    assert [state["begun"] for state in undone] == [True, True]
    assert not any("left" in state for state in undone)


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_what_is_nested_as_deep_as_may_be_comes_back(wrap: Any):
    """Within a message of ours, which has levels of its own."""
    job = Job.FromString(Job(input=as_struct({"given": deep(30, wrap)})).SerializeToString())

    assert MessageToDict(job.input) == {"given": deep(30, wrap)}
    with pytest.raises(NestedTooDeep):
        as_struct({"given": deep(33, wrap)})


class Away(Unavailable):
    """It is away; it comes back."""


class UsedUp(LimitReached):
    """All of it is used. Delete something."""


def fails(problem: Problem) -> Flow:
    """A flow of a step that fails."""

    async def fail(_: Claim, __: State) -> None:
        raise problem

    return Flow("trial", [Step("fail", fail)], result=lambda state: state)


@pytest.mark.parametrize(
    ("problem", "status", "retryable"), [(Away(), JOB_STATUS_QUEUED, True), (UsedUp(), JOB_STATUS_FAILED, False)]
)
async def test_only_what_may_pass_is_tried_again(peers: Peers, problem: Problem, status: int, retryable: bool):
    """A limit stays reached until somebody gives something back: a job that waited for that would never end."""
    claim = await claimed(peers)
    await carry(fails(problem), claim)
    job = await peers.jobs.GetJob(GetJobRequest(id=claim.job.id), **peers.quick)

    assert job.status == status
    assert (job.error.code, job.error.retryable) == (problem.reason, retryable)


@pytest.mark.parametrize("attempt", [1_024, 100_000])
async def test_a_job_that_was_tried_for_days_still_says_why_it_fails(peers: Peers, attempt: int):
    claim = await claimed(peers)
    claim.job.attempt = attempt
    await carry(fails(Away()), claim)
    job = await peers.jobs.GetJob(GetJobRequest(id=claim.job.id), **peers.quick)

    assert (job.status, job.error.code, job.error.message) == (JOB_STATUS_QUEUED, "AWAY", Away().message)


class Died(Conflict):
    """It has died."""


def fails_in_turn(problems: list[Problem]) -> Flow:
    """A flow of a step that fails each time for the next reason, with patience for two deaths."""

    async def fail(_: Claim, __: State) -> None:
        raise problems.pop(0)

    async def done(_: Claim, __: State) -> None:
        pass

    return Flow("trial", [Step("begin", done), Step("fail", fail, patience={"DIED": 3})], result=lambda state: state)


async def again(peers: Peers, claim: Claim) -> Claim:
    """The same job, once it is due."""
    lease, job = Duration(seconds=60), Job()
    async with asyncio.timeout(60):
        while not job.id:
            answer = await peers.jobs.ClaimJob(ClaimJobRequest(worker="w", kinds=["trial"], lease=lease), **peers.quick)
            job = answer.job
            await asyncio.sleep(0.05)
    assert job.id == claim.job.id
    return Claim(peers, job, 60)


async def test_a_wait_uses_up_no_attempt(peers: Peers, monkeypatch: pytest.MonkeyPatch):
    """M.8: a worker that dies is replaced twice, however often the job had to wait before."""
    monkeypatch.setattr(engine, "FIRST_RETRY_SECONDS", 0.01)
    flow = fails_in_turn([Away(), Away(), Away(), Died(), Away(), Died(), Away(), Died()])
    claim, statuses_seen = await claimed(peers), []
    for _ in range(8):
        await carry(flow, claim)
        job = await peers.jobs.GetJob(GetJobRequest(id=claim.job.id), **peers.quick)
        statuses_seen.append(job.status)
        claim = await again(peers, claim) if job.status == JOB_STATUS_QUEUED else claim

    assert statuses_seen == [JOB_STATUS_QUEUED] * 7 + [JOB_STATUS_FAILED]
    assert job.error.code == "DIED"


def test_each_attempt_waits_longer_up_to_a_minute():
    assert [retry_seconds(attempt) for attempt in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert retry_seconds(10**9) == 60
