"""Puts the metadata service together; the only place that names concrete stores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType

from modelyard.metadata.v1 import (
    artifact_pb2_grpc,
    dataset_pb2_grpc,
    job_pb2_grpc,
    model_pb2_grpc,
    project_pb2_grpc,
    run_pb2_grpc,
)
from servicekit.server import Application, Service
from services.metadata import servicer
from services.metadata.adapters.memory import MemoryStore
from services.metadata.adapters.sqlite import sqlite_store
from services.metadata.domain.artifacts import Artifacts
from services.metadata.domain.datasets import Datasets
from services.metadata.domain.entities import Project, Run
from services.metadata.domain.jobs import Jobs, Watchers
from services.metadata.domain.metrics import Metrics
from services.metadata.domain.models import Models
from services.metadata.domain.ports import Store
from services.metadata.domain.publishing import Publishing
from services.metadata.domain.records import Clock, Records, utc_now
from services.metadata.settings import MetadataSettings


@asynccontextmanager
async def bootstrap(settings: MetadataSettings) -> AsyncIterator[Application]:
    """The service as its settings want it, for the length of the block."""
    async with sqlite_store(settings.database) as store:
        yield compose(store)


def in_memory(now: Clock = utc_now) -> Application:
    """The service with nothing behind it, for tests: what is recorded is gone with the process."""
    return compose(MemoryStore(), now)


def compose(store: Store, now: Clock = utc_now) -> Application:
    """The service over any store."""
    watchers = Watchers()
    projects, datasets, models = Records(Project, store, now), Datasets(store, now), Models(store, now)
    runs, artifacts, jobs = Records(Run, store, now), Artifacts(store, now), Jobs(store, watchers, now)
    publishing, metrics = Publishing(store, now), Metrics(store, now)
    services = [
        _service("Project", project_pb2_grpc, servicer.ProjectServicer(projects)),
        _service("Dataset", dataset_pb2_grpc, servicer.DatasetServicer(datasets)),
        _service("Model", model_pb2_grpc, servicer.ModelServicer(models, publishing)),
        _service("Run", run_pb2_grpc, servicer.RunServicer(runs, metrics)),
        _service("Job", job_pb2_grpc, servicer.JobServicer(jobs)),
        _service("Artifact", artifact_pb2_grpc, servicer.ArtifactServicer(artifacts)),
    ]
    return Application(services, {"database": store.probe}, watchers.stop)


def _service(aggregate: str, generated: ModuleType, servicer: object) -> Service:
    add = getattr(generated, f"add_{aggregate}ServiceServicer_to_server")
    return Service(f"modelyard.metadata.v1.{aggregate}Service", add, servicer)
