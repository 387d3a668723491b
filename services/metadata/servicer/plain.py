"""Aggregates that have only the standard methods."""

from modelyard.metadata.v1 import experiment_pb2, project_pb2
from services.metadata import converters
from services.metadata.domain.entities import Experiment, ExperimentRun, Project
from services.metadata.domain.records import Records
from services.metadata.servicer.aggregate import Aggregate, Standard


def projects(records: Records[Project]) -> Aggregate:
    """Projects."""
    service = project_pb2.DESCRIPTOR.services_by_name["ProjectService"]
    return Aggregate(service, Standard(records, converters.PROJECT))


def experiments(records: Records[Experiment], runs: Records[ExperimentRun]) -> Aggregate:
    """Experiments, and which runs are part of them."""
    service = experiment_pb2.DESCRIPTOR.services_by_name["ExperimentService"]
    return Aggregate(service, Standard(records, converters.EXPERIMENT), Standard(runs, converters.EXPERIMENT_RUN))
