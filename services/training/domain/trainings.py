"""Trains, each training in a process of its own, and keeps what came of it until it is released."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import replace

from servicekit.durability import full_disk_as
from servicekit.errors import AlreadyExists, InvalidInput, Problem, Unavailable
from servicekit.logging import get_logger
from services.training.domain.bench import Bench, SideBench
from services.training.domain.errors import DiskFull, TrainingCancelled, UnknownWorkload
from services.training.domain.journal import Journal
from services.training.domain.messages import CheckTask, TrainTask
from services.training.domain.model import (
    FinishedTraining,
    Progress,
    Stage,
    TrainingPlan,
    TrainingResult,
    TrainingSpec,
)
from services.training.domain.ports import Event, Shelf, Tombstones, Workload
from services.training.domain.slots import Slots

log = get_logger()

TRAINING_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class BadTrainingId(InvalidInput):
    """A training_id has 1 to 100 letters, digits, "-" and "_". Give one that has."""

    field = "training_id"


class TrainingExists(AlreadyExists):
    """There is a training named {training_id} already, of something else. Give this one a name of its own."""


class ServiceStopping(Unavailable):
    """The training service is stopping. Repeat the request, and the training starts anew."""


class Training:
    """One training that runs or waits for its turn."""

    def __init__(self, spec: TrainingSpec) -> None:
        self.spec = spec
        self.journal = Journal()
        self.task: asyncio.Task[TrainingResult]
        self._stopped: Problem | None = None

    def stop(self, why: Problem) -> None:
        """Kill it; those who follow it are told why."""
        if not self._stopped:  # a second cancel would interrupt the cleaning up after the first
            self._stopped = why
            self.task.cancel()

    async def follow(self, joining: bool) -> AsyncIterator[Event]:
        """Its events, the result last. Leaving early does not end it. Raises what it ended with."""
        async for event in self.journal.follow(joining):
            yield event
        await asyncio.wait([self.task])
        if self._stopped:
            raise self._stopped
        yield self.task.result()

    def queued(self, position: int) -> None:
        """Note how many are before it."""
        self.journal.add(Progress(0, Stage.QUEUED, f"Waiting for a free worker; number {position} in the queue."))


class Trainings:
    """The trainings of this service: those that run or wait, and those that are finished and not released."""

    def __init__(
        self, workloads: Mapping[str, Workload], bench: Bench, shelf: Shelf, tombstones: Tombstones, slots: Slots
    ) -> None:
        self._workloads = workloads
        self._bench = bench
        self._shelf = shelf
        self._tombstones = tombstones
        self._slots = slots
        self._running: dict[str, Training] = {}
        self._stopping = False

    async def train(self, spec: TrainingSpec) -> AsyncGenerator[Event, None]:
        """Start a training, or join the one of that name; its events, the result last.

        Raises BadTrainingId, UnknownWorkload, TrainingCancelled, TrainingExists, QueueFull, ServiceStopping, WorkerDied
        and whatever the dataset's reader and the workload raise.
        """
        validate(spec, self._workloads)
        if self._tombstones.has(spec.training_id):
            raise TrainingCancelled(training_id=spec.training_id)
        if kept := self._shelf.finished(spec.training_id):
            _same(spec, kept.spec)
            for metric in kept.metrics:
                yield metric
            yield kept.result
            return
        joined = self._running.get(spec.training_id)
        training = joined or self._start(spec)
        _same(spec, training.spec)
        async for event in training.follow(joining=joined is not None):
            yield event

    def knows(self, training_id: str) -> bool:
        """Whether there is a training of that name here that runs, waits, is kept, or was cancelled."""
        return bool(
            training_id in self._running or self._shelf.finished(training_id) or self._tombstones.has(training_id)
        )

    async def cancel(self, training_id: str) -> bool:
        """Stop a training, delete what it wrote, and let none of that name start; whether there was one to stop."""
        validate_id(training_id)
        training = self._running.get(training_id)
        if training:
            training.stop(TrainingCancelled(training_id=training_id))
        await self._tombstones.add(training_id)
        if training:
            await asyncio.wait([training.task])
        await self._shelf.remove(training_id)
        return training is not None

    async def release(self, training_id: str) -> int:
        """Remove what is kept of a finished training; the bytes freed. One that runs is left alone."""
        validate_id(training_id)
        return await self._shelf.remove(training_id)

    def artifact(self, training_id: str) -> AsyncGenerator[bytes, None]:
        """The packaged model of a finished training, in chunks; raises ArtifactNotFound."""
        validate_id(training_id)
        return self._shelf.read(training_id)

    def stop(self) -> None:
        """Start no more and kill those that run; their callers are told to repeat the request."""
        self._stopping = True
        for training in self._running.values():
            training.stop(ServiceStopping())

    async def stopped(self) -> None:
        """Return when none runs any more and their folders are gone."""
        if tasks := [training.task for training in self._running.values()]:
            await asyncio.wait(tasks)

    def _start(self, spec: TrainingSpec) -> Training:
        if self._stopping:
            raise ServiceStopping
        training = Training(spec)
        training.task = asyncio.create_task(self._run(training))
        training.task.add_done_callback(lambda task: self._ended(training, task))
        self._running[spec.training_id] = training
        return training

    async def _run(self, training: Training) -> TrainingResult:
        spec = training.spec
        async with self._slots.turn(training.queued):
            with full_disk_as(DiskFull):
                return await self._train(spec, training.journal)

    async def _train(self, spec: TrainingSpec, journal: Journal) -> TrainingResult:
        async with self._shelf.folder(spec) as folder:
            log.info("training began", training_id=spec.training_id, workload=spec.workload)
            answer, sha256 = await self._bench.work(TrainTask(spec), spec.dataset, folder, journal.add)
            result = replace(answer, training_id=spec.training_id, workload=spec.workload, dataset_sha256=sha256)
            await self._shelf.keep(FinishedTraining(spec, journal.metrics(), result))
            return result

    def _ended(self, training: Training, task: asyncio.Task[TrainingResult]) -> None:
        del self._running[training.spec.training_id]
        training.journal.close()
        # Also marks the error as seen: a training that nobody follows any more may fail.
        how = "stopped" if task.cancelled() else str(task.exception() or "finished")
        log.info("training ended", training_id=training.spec.training_id, how=how)


class Checks:
    """Checks trainings without starting them."""

    def __init__(self, workloads: Mapping[str, Workload], bench: SideBench) -> None:
        self._workloads = workloads
        self._bench = bench

    async def check(self, spec: TrainingSpec) -> TrainingPlan:
        """What a training would do; raises what the training would raise for its parameters or data."""
        validate(spec, self._workloads)
        return await self._bench.work(CheckTask(spec), spec.dataset, "check_")


def validate_id(training_id: str) -> None:
    """Raise BadTrainingId for a name that is none."""
    if not TRAINING_ID.fullmatch(training_id):
        raise BadTrainingId


def validate(spec: TrainingSpec, workloads: Mapping[str, Workload]) -> None:
    """Raise BadTrainingId or UnknownWorkload for a spec that can be refused without looking at its data."""
    validate_id(spec.training_id)
    if spec.workload not in workloads:
        raise UnknownWorkload(name=spec.workload, known=", ".join(sorted(workloads)))


def _same(asked: TrainingSpec, known: TrainingSpec) -> None:
    if asked != known:
        raise TrainingExists(training_id=asked.training_id)
