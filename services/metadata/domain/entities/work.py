"""Durable pieces of work."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.metadata.domain.declarations import attribute, entity
from services.metadata.domain.entities.record import NAME, Record


class JobStatus(StrEnum):
    """Life of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


@dataclass(frozen=True)
class JobError:
    """Why a job failed."""

    code: str = ""
    message: str = ""
    retryable: bool = False


@entity(
    "jobs",
    indexes=[("user_id", "create_time", "id"), ("status", "create_time", "id"), ("create_time", "id")],
)
class Job(Record):
    """One durable piece of work."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    kind: str = attribute(default="", required=True, max_length=NAME)
    status: JobStatus = attribute(default=JobStatus.QUEUED, output_only=True)
    step: str = attribute(default="", output_only=True, max_length=NAME)
    stage: str = attribute(default="", max_length=NAME)
    message: str = attribute(default="")
    progress: float = attribute(default=0.0, output_only=True)
    input: dict[str, Any] | None = attribute(default=None)
    state: dict[str, Any] | None = attribute(default=None, output_only=True)
    result: dict[str, Any] | None = attribute(default=None, output_only=True)
    error: JobError | None = attribute(default=None, output_only=True)
    cancel_requested: bool = attribute(default=False, output_only=True)
    lease_owner: str = attribute(default="", output_only=True, max_length=NAME)
    lease_expire_time: datetime | None = attribute(default=None, output_only=True)
    fencing_token: int = attribute(default=0, output_only=True, minimum=0)
    attempt: int = attribute(default=0, output_only=True, minimum=0)
    due_time: datetime | None = attribute(default=None)
    end_time: datetime | None = attribute(default=None, output_only=True)
    retries: int = attribute(default=0, output_only=True, minimum=0)
    """How often its user has queued it again; a repeat of that request is known by it."""
