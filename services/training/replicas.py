"""Several training services behind one address: a call may reach one that does not have the training it names."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from typing_extensions import override

from modelyard.training.v1 import training_pb2
from services.training.adapters.peers import FORWARDED, Peers
from services.training.domain.errors import TrainingUnknown
from services.training.domain.ports import Workload
from services.training.domain.predictions import Predictions
from services.training.domain.trainings import Checks, Trainings
from services.training.servicer import TrainingServicer

CANCEL_SECONDS = 15.0
RELEASE_SECONDS = 30.0


class ReplicatedServicer(TrainingServicer):
    """modelyard.training.v1.TrainingService, which asks its replicas for trainings that it does not have."""

    def __init__(
        self,
        workloads: Sequence[Workload],
        trainings: Trainings,
        checks: Checks,
        predictions: Predictions,
        peers: Peers,
    ) -> None:
        super().__init__(workloads, trainings, checks, predictions)
        self._own = trainings
        self._peers = peers

    @override
    async def Train(
        self, request: training_pb2.TrainRequest, context: Any
    ) -> AsyncGenerator[training_pb2.TrainResponse, None]:
        unknown = not self._own.knows(request.training_id)
        if unknown and forwarded(context):
            raise TrainingUnknown(training_id=request.training_id)
        own = super().Train(request, context)
        theirs = self._peers.stream("Train", request, "TRAINING_UNKNOWN") if unknown else None
        async with aclosing(_first_of(theirs, own)) as responses:
            async for response in responses:
                yield response

    @override
    async def CancelTraining(
        self, request: training_pb2.CancelTrainingRequest, context: Any
    ) -> training_pb2.CancelTrainingResponse:
        answer = await super().CancelTraining(request, context)
        if not forwarded(context):
            # All are told, not only the one that has it: it may start nowhere any more.
            told = await self._peers.ask("CancelTraining", request, CANCEL_SECONDS)
            answer.stopped = answer.stopped or any(other.stopped for other in told)
        return answer

    @override
    async def ReadArtifact(
        self, request: training_pb2.ReadArtifactRequest, context: Any
    ) -> AsyncGenerator[training_pb2.ReadArtifactResponse, None]:
        own = super().ReadArtifact(request, context)
        elsewhere = not (self._own.knows(request.training_id) or forwarded(context))
        theirs = self._peers.stream("ReadArtifact", request, "ARTIFACT_NOT_FOUND") if elsewhere else None
        async with aclosing(_first_of(theirs, own)) as responses:
            async for response in responses:
                yield response

    @override
    async def ReleaseArtifact(
        self, request: training_pb2.ReleaseArtifactRequest, context: Any
    ) -> training_pb2.ReleaseArtifactResponse:
        answer = await super().ReleaseArtifact(request, context)
        if not forwarded(context):
            told = await self._peers.ask("ReleaseArtifact", request, RELEASE_SECONDS)
            answer.size += sum(other.size for other in told)
        return answer


async def _first_of(theirs: AsyncGenerator[Any, None] | None, own: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """What another replica answers; where none has anything to say, our own answer."""
    answered = False
    if theirs is not None:
        async with aclosing(theirs):
            async for response in theirs:
                answered = True
                yield response
    if not answered:
        async for response in own:
            yield response


def forwarded(context: Any) -> bool:
    """Whether a call comes from another replica."""
    return any(key == FORWARDED for key, _ in context.invocation_metadata() or ())
