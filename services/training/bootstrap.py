"""Puts the training service together."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from modelyard.training.v1 import analysis_pb2_grpc, training_pb2_grpc
from servicekit.channels import Channel
from servicekit.logging import get_logger
from servicekit.server import Application, Service
from services.training.adapters.inspections import InspectionFiles
from services.training.adapters.kaggle_processes import KaggleProcesses
from services.training.adapters.limits import Limits, Seats, share_of_memory
from services.training.adapters.models import ModelProcesses
from services.training.adapters.peers import Peers
from services.training.adapters.processes import Home, WorkerProcesses
from services.training.adapters.ray_errands import Cluster, RayErrands
from services.training.adapters.scratch import clear, opened, probe
from services.training.adapters.shelf import FolderShelf
from services.training.adapters.storage import StoredDatasets, StoredPackages
from services.training.adapters.tombstones import FolderTombstones
from services.training.adapters.web import WebDownloads
from services.training.domain.addresses import HostList
from services.training.domain.analysis import Analysis
from services.training.domain.bench import Bench, SideBench
from services.training.domain.elsewhere import KaggleCredentials
from services.training.domain.importing import FetchBounds, Importing
from services.training.domain.ports import Workload
from services.training.domain.predictions import Loader, Predictions
from services.training.domain.slots import Slots
from services.training.domain.trainings import Checks, Trainings
from services.training.domain.warm import Bounds
from services.training.replicas import ReplicatedServicer
from services.training.servicer import AnalysisServicer, TrainingServicer
from services.training.settings import TrainingSettings

log = get_logger()

WORKLOADS = "services.training.workloads"
SIDE_TASKS = 2
FETCHES = 4
SWEEP_SECONDS = 600.0


@asynccontextmanager
async def bootstrap(settings: TrainingSettings, workloads: str = WORKLOADS) -> AsyncIterator[Application]:
    """The application, for the length of the block. Workloads is a module; the worker processes import it, too.

    Raises ScratchInUse.
    """
    declared: Sequence[Workload] = importlib.import_module(workloads).all_workloads()
    by_name = {workload.name: workload for workload in declared}
    home = Home(workloads, settings.threads, settings.for_workloads)
    channel = Channel(settings.storage_address, settings.service_token.get_secret_value())
    near = Bench(StoredDatasets(channel), _processes(settings, home))
    bench = Bench(StoredDatasets(channel), _errands(settings, home, by_name)) if settings.ray_address else near
    side = SideBench(near, settings.scratch, Slots(SIDE_TASKS, settings.queue_limit))
    with opened(settings.scratch):
        kept = await asyncio.to_thread(Kept.found_in, settings.scratch)
        slots = Slots(settings.workers, settings.queue_limit)
        trainings = Trainings(by_name, bench, kept.shelf, kept.tombstones, slots)
        predictions = _predictions(settings, home, channel)
        peers = Peers(settings.replicas, settings.service_token.get_secret_value())
        servicer = ReplicatedServicer(declared, trainings, Checks(by_name, side), predictions, peers)
        sweeping = [
            asyncio.create_task(kept.keep_sweeping(settings.artifact_hours)),
            asyncio.create_task(predictions.warm.keep_sweeping()),
        ]
        try:
            analysis = AnalysisServicer(Analysis(side, kept.inspections), _importing(settings, workloads))
            yield _application(servicer, analysis, trainings, settings.scratch)
        finally:
            for task in sweeping:
                task.cancel()
            trainings.stop()
            await predictions.warm.close()
            await trainings.stopped()
            await peers.close()
            await channel.close()


def _processes(settings: TrainingSettings, home: Home) -> WorkerProcesses:
    limits = Limits(settings.memory_bytes or share_of_memory(settings.local_workers), settings.seconds)
    return WorkerProcesses(home, limits, Seats(settings.threads))


def _errands(settings: TrainingSettings, home: Home, declared: Mapping[str, Workload]) -> RayErrands:
    cluster = Cluster(settings.ray_address, settings.ray_token.get_secret_value(), settings.ray_wait_seconds)
    return RayErrands(cluster, home, declared, Limits(settings.memory_bytes, settings.seconds))


def _predictions(settings: TrainingSettings, home: Home, channel: Channel) -> Predictions:
    host = ModelProcesses(home, settings.predict_memory_bytes)
    bounds = Bounds(settings.predict_models, settings.predict_idle_seconds, settings.queue_limit)
    return Predictions(Loader(StoredPackages(channel), host, settings.scratch), bounds, settings.predict_seconds)


def _importing(settings: TrainingSettings, workloads: str) -> Importing:
    key, token = settings.kaggle_key.get_secret_value(), settings.kaggle_api_token.get_secret_value()
    own = KaggleCredentials(settings.kaggle_username, key, token)
    kaggle = KaggleProcesses(workloads, settings.scratch, own, settings.fetch_bytes, settings.kaggle_url)
    bounds = FetchBounds(settings.fetch_bytes, settings.fetch_seconds, Slots(FETCHES, settings.queue_limit))
    return Importing(kaggle, WebDownloads(HostList(settings.url_hosts)), bounds)


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
            try:
                await self.shelf.remove_older(hours)
                await self.tombstones.remove_expired()
            except OSError as error:  # of this round; the next may have more luck
                log.error("[CLEANUP] cannot sweep", reason=str(error))
            await asyncio.sleep(SWEEP_SECONDS)
