"""What the service and its worker processes say to each other: one JSON object a line, {"kind": …, "value": …}."""

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import TypeAdapter

from servicekit import errors
from services.training.domain.answers import AnswersHeader, Loaded, RowsHeader
from services.training.domain.elsewhere import Fetched, KaggleCredentials, KaggleWish
from services.training.domain.inspection import Inspection
from services.training.domain.model import Metric, Progress, TableFormat, TrainingPlan, TrainingResult, TrainingSpec

A = TypeVar("A", TrainingResult, TrainingPlan, Inspection, Loaded, Fetched)


@dataclass(frozen=True)
class Task(Generic[A]):
    """Something to do, and what kind of answer it has."""

    answer: ClassVar[type[Any]]


@dataclass(frozen=True)
class TrainTask(Task[TrainingResult]):
    """Train."""

    answer = TrainingResult
    spec: TrainingSpec


@dataclass(frozen=True)
class CheckTask(Task[TrainingPlan]):
    """Settle what a training would do."""

    answer = TrainingPlan
    spec: TrainingSpec


@dataclass(frozen=True)
class InspectTask(Task[Inspection]):
    """Tell what is in a table."""

    answer = Inspection
    format: TableFormat | None
    sample_size: int


@dataclass(frozen=True)
class ServeTask(Task[Loaded]):
    """Load a packaged model, and answer for rows until nobody asks any more."""

    answer = Loaded
    memory_bytes: int
    """Most memory that it may take; 0 for no limit."""


@dataclass(frozen=True)
class KaggleTask(Task[Fetched]):
    """Download from Kaggle, with the credentials that are said next, which no task holds since tasks are on disk."""

    answer = Fetched
    wish: KaggleWish
    limit_bytes: int
    url: str
    """Where Kaggle's API is; where its client expects it when empty."""


@dataclass(frozen=True)
class Refusal:
    """An error that the caller can be told about, on its way from one process to the other."""

    family: str
    """Its class in servicekit.errors, which settles the status."""
    reason: str
    message: str
    field: str = ""
    after_seconds: int = errors.RETRY_AFTER_SECONDS
    """When to repeat what may help to repeat."""

    @classmethod
    def of(cls, problem: errors.Problem) -> "Refusal":
        """An error as it travels."""
        family = next(kind for kind in type(problem).__mro__ if vars(errors).get(kind.__name__) is kind)
        return cls(family.__name__, problem.reason, problem.message, problem.field, problem.after_seconds)

    def as_problem(self) -> errors.Problem:
        """The error again: the same status, reason, message, field and delay."""
        facts = {"__doc__": "{message}", "reason": self.reason, "field": self.field}
        kind: type[errors.Problem] = type(self.reason, (vars(errors)[self.family],), facts)
        return kind(message=self.message, after_seconds=self.after_seconds)


class WorkerDied(errors.Conflict):
    """The worker process was ended by {ending} before its work was done. {advice}"""

    @classmethod
    def of_memory(cls, ending: str) -> "WorkerDied":
        """One whose machine ran out of memory, as far as can be told from outside."""
        advice = "Most often the machine ran out of memory: free some, or use fewer rows, then repeat the request."
        return cls(ending=ending, advice=advice)

    @classmethod
    def of_signal(cls, ending: str) -> "WorkerDied":
        """One that was ended by any other signal."""
        return cls(ending=ending, advice="Repeat the request; if it happens again, the service's log tells more.")


class WorkerBroke(Exception):
    """The work failed in a way nobody foresaw. The caller is told only that; the service's log has the worker's."""


Message = (
    TrainTask | CheckTask | InspectTask | ServeTask
    | Progress | Metric | TrainingResult | TrainingPlan | Inspection | Refusal
    | Loaded | RowsHeader | AnswersHeader
    | KaggleTask | KaggleCredentials | Fetched
)  # fmt: skip

KINDS: dict[str, type[Any]] = {
    "train": TrainTask,
    "check": CheckTask,
    "inspect": InspectTask,
    "progress": Progress,
    "metric": Metric,
    "result": TrainingResult,
    "plan": TrainingPlan,
    "inspection": Inspection,
    "refusal": Refusal,
    "serve": ServeTask,
    "loaded": Loaded,
    "rows": RowsHeader,
    "answers": AnswersHeader,
    "kaggle": KaggleTask,
    "credentials": KaggleCredentials,
    "fetched": Fetched,
}
_NAMES = {kind: name for name, kind in KINDS.items()}
_ADAPTERS = {name: TypeAdapter(kind) for name, kind in KINDS.items()}


def encode(message: Message | Task[A]) -> bytes:
    """A message as a line. Numbers that JSON does not know, such as NaN, keep their Python names."""
    name = _NAMES[type(message)]
    return json.dumps({"kind": name, "value": asdict(message)}, default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    # Dates have isoformat; numbers and arrays of numpy have tolist.
    return value.isoformat() if hasattr(value, "isoformat") else value.tolist()


def decode(line: bytes) -> Message:
    """The message of a line; a ValueError when it is none."""
    envelope = json.loads(line)
    message: Message = _ADAPTERS[envelope["kind"]].validate_python(envelope["value"])
    return message
