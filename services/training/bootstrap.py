"""Puts the training service together."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from modelyard.training.v1 import analysis_pb2_grpc, training_pb2_grpc
from servicekit.channels import Channel
from servicekit.server import Application, Service
from services.training.adapters.inspections import InspectionFiles
from services.training.adapters.models import ModelProcesses
from services.training.adapters.processes import WorkerProcesses
from services.training.adapters.scratch import ScratchInUse, clear, opened, probe
from services.training.adapters.shelf import FolderShelf
from services.training.adapters.storage import StoredDatasets, StoredPackages
from services.training.adapters.tombstones import FolderTombstones
from services.training.domain.analysis import Analysis
from services.training.domain.bench import Bench, SideBench
from services.training.domain.ports import Workload
from services.training.domain.predictions import Loader, Predictions
from services.training.domain.slots import Slots
from services.training.domain.trainings import Checks, Trainings
from services.training.domain.warm import Bounds
from services.training.servicer import AnalysisServicer, TrainingServicer
from services.training.settings import TrainingSettings

__all__ = ["WORKLOADS", "ScratchInUse", "bootstrap"]

WORKLOADS = "services.training.workloads"
SIDE_TASKS = 2
SWEEP_SECONDS = 600.0


@asynccontextmanager
async def bootstrap(settings: TrainingSettings, workloads: str = WORKLOADS) -> AsyncIterator[Application]:
    """The application, for the length of the block. Workloads is a module; the worker processes import it, too.

    Raises ScratchInUse.
    """
    declared: Sequence[Workload] = importlib.import_module(workloads).all_workloads()
    by_name = {workload.name: workload for workload in declared}
    channel = Channel(settings.storage_address, settings.service_token.get_secret_value())
    bench = Bench(StoredDatasets(channel), WorkerProcesses(workloads, settings.threads, settings.for_workloads))
    side = SideBench(bench, settings.scratch, Slots(SIDE_TASKS, settings.queue_limit))
    with opened(settings.scratch):
        kept = await asyncio.to_thread(Kept.found_in, settings.scratch)
        slots = Slots(settings.workers, settings.queue_limit)
        trainings = Trainings(by_name, bench, kept.shelf, kept.tombstones, slots)
        predictions = _predictions(settings, workloads, channel)
        servicer = TrainingServicer(declared, trainings, Checks(by_name, side), predictions)
        sweeping = [
            asyncio.create_task(kept.keep_sweeping(settings.artifact_hours)),
            asyncio.create_task(predictions.warm.keep_sweeping()),
        ]
        try:
            yield _application(
                servicer, AnalysisServicer(Analysis(side, kept.inspections)), trainings, settings.scratch
            )
        finally:
            for task in sweeping:
                task.cancel()
            trainings.stop()
            await predictions.warm.close()
            await trainings.stopped()
            await channel.close()


def _predictions(settings: TrainingSettings, workloads: str, channel: Channel) -> Predictions:
    host = ModelProcesses(workloads, settings.threads, settings.predict_memory_bytes)
    bounds = Bounds(settings.predict_models, settings.predict_idle_seconds, settings.queue_limit)
    return Predictions(Loader(StoredPackages(channel), host, settings.scratch), bounds, settings.predict_seconds)


def _application(
    training: TrainingServicer, analysis: AnalysisServicer, trainings: Trainings, scratch: Path
) -> Application:
    async def scratch_is_writable() -> None:
        await asyncio.to_thread(probe, scratch)

    return Application(
        services=[
            Service(
                "modelyard.training.v1.TrainingService",
                training_pb2_grpc.add_TrainingServiceServicer_to_server,
                training,
            ),
            Service(
                "modelyard.training.v1.AnalysisService",
                analysis_pb2_grpc.add_AnalysisServiceServicer_to_server,
                analysis,
            ),
        ],
        # Storage is not probed: without it trainings go on and finished models are served; what needs it says so.
        probes={"scratch": scratch_is_writable},
        on_drain=trainings.stop,
    )


@dataclass(frozen=True)
class Kept:
    """What outlives the service."""

    shelf: FolderShelf
    tombstones: FolderTombstones
    inspections: InspectionFiles

    @classmethod
    def found_in(cls, root: Path) -> "Kept":
        """What a former service left in the scratch folder; the unfinished of it is removed. Blocks."""
        cancelled, inspected = root / "cancelled", root / "inspections"
        tombstones, shelf = FolderTombstones(cancelled), FolderShelf(root)
        tombstones.reopen()
        clear(root, keep=[*shelf.reopen(tombstones), cancelled, inspected])
        return cls(shelf, tombstones, InspectionFiles(inspected))

    async def keep_sweeping(self, hours: float) -> None:
        """Remove now and then what nobody asked for in so many hours."""
        while True:
            await self.shelf.remove_older(hours)
            await self.tombstones.remove_expired()
            await asyncio.sleep(SWEEP_SECONDS)
