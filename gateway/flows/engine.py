"""Carries a flow through: a table of steps, done in order, undone in reverse.

A flow is resumed from what its job says is done, by whichever gateway claims the job next, so every step must bear
being repeated. What a step leaves for later ones goes into `state`, which is saved with the job after every step.

- A transient failure queues the job again for later, and nothing is undone: what is done stays done.
- A permanent failure, or a cancel before the point of no return, undoes the steps in reverse, the failed one first.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import AioRpcError

from gateway.flows.claim import Cancelled, Claim, LeaseLost
from gateway.problems import UNFORESEEN
from modelyard.metadata.v1.job_pb2 import (
    AdvanceJobRequest,
    CancelJobRequest,
    CompleteJobRequest,
    FailJobRequest,
    Job,
    JobError,
)
from servicekit import errors, statuses
from servicekit.logging import get_logger

log = get_logger()

State = dict[str, Any]
Work = Callable[[Claim, State], Coroutine[Any, Any, None]]
UNDOING = "undoing"
FAILURES = "failures"
"""Reason to how often the step that is due has failed for it, of those that are worth so many attempts."""
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
MOST_DOUBLINGS = 10
"""Of the seconds until the next attempt: beyond these they are the longest, and after 1,024 no number any more."""
UNDO_RETRY_SECONDS = 5.0
MOST_LEVELS = 32
"""Of objects in each other, each of which takes three of the 100 levels that a message may have."""


class NumberTooLarge(errors.InvalidInput):
    """A number has more than 308 digits, which is more than can be kept. Send a smaller one."""

    field = "parameters"


class NestedTooDeep(errors.InvalidInput):
    """Lists or objects lie in each other more than {levels} levels deep, which is more than can be kept. Send them
    flatter."""

    field = "parameters"


class TextUnfit(errors.InvalidInput):
    """A text holds half of a character (a lone surrogate, U+D800 to U+DFFF), which cannot be kept. Send whole
    characters."""

    field = "parameters"


@dataclass(frozen=True)
class Step:
    """One step of a flow."""

    name: str
    do: Work
    undo: Work | None = None
    progress: float = 0.0
    """How far the job is once the step is done, 0 to 1."""
    patience: Mapping[str, int] = field(default_factory=dict)
    """Reason to attempts, for failures that are worth so many attempts; other transient ones are worth any number."""
    final: bool = False
    """The point of no return: after this step a flow only goes forward."""


@dataclass(frozen=True)
class Flow:
    """A kind of job: its steps, and what a finished one answers with."""

    kind: str
    steps: Sequence[Step]
    result: Callable[[State], State]

    def done(self, job: Job) -> int:
        """How many steps are done."""
        return self.position(job.step) + 1 if job.step else 0

    def position(self, name: str) -> int:
        """Which step has this name, from 0."""
        return [step.name for step in self.steps].index(name)

    def may_return(self, step: Step) -> bool:
        """Whether the flow may still be undone when this step fails."""
        return not any(earlier.final for earlier in self.steps[: self.position(step.name)])


async def carry(flow: Flow, claim: Claim) -> None:
    """Take a claimed job as far as it goes: to its end, to its next attempt, or until the claim is lost."""
    state: State = MessageToDict(claim.job.state)
    if UNDOING in state:
        await _backward(flow, claim, state)
        return
    for step in flow.steps[flow.done(claim.job) :]:
        failure = await _attempt(step, claim, state, cancellable=flow.may_return(step) and not step.final)
        if failure is not None:
            # From what is recorded: what the step left may be what could not be.
            await _after_failure(flow, step, claim, MessageToDict(claim.job.state), failure)
            return
    await claim.jobs.CompleteJob(CompleteJobRequest(**claim.fence, result=as_struct(flow.result(state))), **claim.quick)
    log.info("job completed", job=claim.job.id)


async def _attempt(step: Step, claim: Claim, state: State, cancellable: bool) -> JobError | None:
    """Do one step and record that it is done; why that failed, if it did."""
    log.info("step begins", job=claim.job.id, step=step.name)
    try:
        await claim.guard(step.do(claim, state), cancellable)
        state.pop(FAILURES, None)
        await _advance(claim, step.name, state, step.progress)
    except AioRpcError as error:
        log.info("step failed", job=claim.job.id, step=step.name, code=error.code().name, detail=error.details())
        reason = statuses.reason_of(error)
        retryable = statuses.is_transient(error) or reason in step.patience
        return JobError(code=reason, message=error.details() or reason, retryable=retryable)
    except errors.Problem as problem:
        log.info("step failed", job=claim.job.id, step=step.name, reason=problem.reason)
        return JobError(code=problem.reason, message=problem.message, retryable=statuses.may_pass(problem))
    except LeaseLost:
        raise
    except Exception:
        log.exception("step failed unexpectedly", job=claim.job.id, step=step.name)
        return JobError(code="INTERNAL", message=UNFORESEEN)
    return None


async def _after_failure(flow: Flow, step: Step, claim: Claim, state: State, failure: JobError) -> None:
    attempt, patience = claim.job.attempt + 1, step.patience.get(failure.code)
    if patience and failure.retryable:
        # Counted apart from those that are worth any number: a job that waited for its turn has had no attempt yet.
        counts = state.setdefault(FAILURES, {})
        attempt = counts[failure.code] = int(counts.get(failure.code, 0)) + 1
        await _advance(claim, claim.job.step, state, claim.job.progress)
    again = failure.retryable and (patience is None or attempt < patience)
    if again or not flow.may_return(step):
        await later(claim, failure, retry_seconds(attempt))
        return
    state[UNDOING] = {"from": step.name, "code": failure.code, "message": failure.message}
    await _advance(claim, claim.job.step, state, claim.job.progress)
    await _backward(flow, claim, state)


async def _backward(flow: Flow, claim: Claim, state: State) -> None:
    """Undo in reverse what was done, the failed step included, then end the job."""
    why = state[UNDOING]
    for step in reversed(flow.steps[: flow.position(why["from"]) + 1]):
        if step.undo is not None:
            try:
                await claim.guard(step.undo(claim, state), cancellable=False)
            except AioRpcError as error:
                log.error("step cannot be undone yet", job=claim.job.id, step=step.name, detail=error.details())
                failure = JobError(code=statuses.reason_of(error), message=error.details() or "", retryable=True)
                await later(claim, failure, UNDO_RETRY_SECONDS)
                return
    await _end(claim, JobError(code=why["code"], message=why["message"]))


def retry_seconds(attempt: int) -> float:
    """How long to wait after an attempt, the first of which is 1: longer each time, up to a minute."""
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(attempt - 1, MOST_DOUBLINGS), LONGEST_RETRY_SECONDS)


async def later(claim: Claim, failure: JobError, seconds: float) -> None:
    """Queue the job again for later; nothing is undone."""
    retry_time = as_timestamp(datetime.now(UTC) + timedelta(seconds=seconds))
    await claim.jobs.FailJob(FailJobRequest(**claim.fence, error=failure, retry_time=retry_time), **claim.quick)


async def _end(claim: Claim, error: JobError) -> None:
    if error.code == Cancelled().reason:
        await claim.jobs.CancelJob(CancelJobRequest(**claim.fence), **claim.quick)
    else:
        await claim.jobs.FailJob(FailJobRequest(**claim.fence, error=error), **claim.quick)
    log.info("job ended", job=claim.job.id, code=error.code)


async def _advance(claim: Claim, step: str, state: State, progress: float) -> None:
    request = AdvanceJobRequest(**claim.fence, step=step, state=as_struct(state), progress=progress)
    claim.job.CopyFrom(await claim.jobs.AdvanceJob(request, **claim.quick))


def as_struct(values: State) -> Struct:
    """A dictionary as protobuf carries it. Fails with NumberTooLarge, NestedTooDeep and TextUnfit."""
    try:
        return ParseDict(values, Struct(), max_recursion_depth=2 * MOST_LEVELS)  # a level is a value and what it is
    except (ParseError, RecursionError) as error:
        raise NestedTooDeep(levels=MOST_LEVELS) from error
    except OverflowError as error:
        raise NumberTooLarge from error
    except UnicodeEncodeError as error:
        raise TextUnfit from error


def as_timestamp(moment: datetime) -> Timestamp:
    """An aware time as protobuf carries it."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
