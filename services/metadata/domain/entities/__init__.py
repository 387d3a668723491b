"""What Modelyard records. The contracts in `protos/modelyard/metadata/v1` say what every attribute means.

What is referred to is imported before what refers to it.
"""

# ruff: noqa: I001 (the order has a meaning)

from services.metadata.domain.entities.record import ID, ID_PATTERN, NAME, PATH, Record, SHA256_PATTERN
from services.metadata.domain.entities.storing import (
    ARTIFACT_KINDS,
    Artifact,
    ArtifactCopy,
    ArtifactState,
    Dataset,
    GONE,
    Project,
    REGISTERED,
    SOURCES,
    TASK_TYPES,
    TableFormat,
)
from services.metadata.domain.entities.training import (
    EXPERIMENT_STATUSES,
    Experiment,
    ExperimentRun,
    Metric,
    MetricSummary,
    Model,
    ModelVersion,
    PROBLEM_TYPES,
    Prediction,
    RUN_ENDED,
    Run,
    RunStatus,
    SPLITS,
    VERSION_STATUSES,
)
from services.metadata.domain.entities.work import ENDED, Job, JobError, JobStatus
from services.metadata.domain.entities.accounts import EMAIL, EMAIL_PATTERN, Reservation, Session, Tier, Usage, User
from services.metadata.domain.entities.posters import (
    CAMPAIGN_STATUSES,
    Campaign,
    EventContext,
    GENERATION_TYPES,
    Postback,
)
from services.metadata.domain.entities.stories import Narratives, Story, StoryDataset, Visibility
from services.metadata.domain.entities.imports import Import
from services.metadata.domain.entities.searching import SearchText
from services.metadata.domain.entities.numbers import RecordCounter, RecordNumber

__all__ = [
    "ARTIFACT_KINDS",
    "CAMPAIGN_STATUSES",
    "EMAIL",
    "EMAIL_PATTERN",
    "ENDED",
    "EXPERIMENT_STATUSES",
    "GENERATION_TYPES",
    "GONE",
    "ID",
    "ID_PATTERN",
    "NAME",
    "PATH",
    "PROBLEM_TYPES",
    "REGISTERED",
    "RUN_ENDED",
    "SHA256_PATTERN",
    "SOURCES",
    "SPLITS",
    "TASK_TYPES",
    "VERSION_STATUSES",
    "Artifact",
    "ArtifactCopy",
    "ArtifactState",
    "Campaign",
    "Dataset",
    "EventContext",
    "Experiment",
    "ExperimentRun",
    "Import",
    "Job",
    "JobError",
    "JobStatus",
    "Metric",
    "MetricSummary",
    "Model",
    "ModelVersion",
    "Narratives",
    "Postback",
    "Prediction",
    "Project",
    "Record",
    "RecordCounter",
    "RecordNumber",
    "Reservation",
    "Run",
    "RunStatus",
    "SearchText",
    "Session",
    "Story",
    "StoryDataset",
    "TableFormat",
    "Tier",
    "Usage",
    "User",
    "Visibility",
]
