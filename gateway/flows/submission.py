"""Turns a wish for a model into a job, after checking that it can be had."""

import json
import math
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal

from google.protobuf.json_format import MessageToDict
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, ValidationError
from pydantic_core import PydanticCustomError

from gateway.flows import training
from gateway.flows.datasets import ARCHIVE, id_for, let_go, source_of, take_in
from gateway.flows.engine import as_struct
from gateway.flows.projects import check_project, project_of
from gateway.incoming import FIELDS, Incoming
from gateway.peers import SCAN_SECONDS, Peers
from modelyard.metadata.v1.artifact_pb2 import ARTIFACT_STATE_DELETED, Artifact, GetArtifactRequest
from modelyard.metadata.v1.dataset_pb2 import Dataset
from modelyard.metadata.v1.job_pb2 import CreateJobRequest, Job
from modelyard.metadata.v1.model_pb2 import ListModelsRequest
from modelyard.training.v1.training_pb2 import CheckTrainingResponse, ProblemType, TrainRequest
from servicekit import errors
from servicekit.floats import pointers_to_floats

NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"


GENERAL = "general_ml"
TASKS = {GENERAL: "tabular", "image_classification": "image_classification", "object_detection": "object_detection"}
"""Task to workload."""
MOST_NAME = 200
"""Characters of a model's name."""
LARGEST_WHOLE = 2**53
"""A Struct's numbers are doubles, which round beyond it."""
TASK_OF = {ARCHIVE: "image_classification"}
"""Kind of dataset to the task that is meant when none is said."""
SHORT = ("engine", "time_limit", "presets", "seed", "test_fraction", "eval_metric")


def _document(given: Any) -> Any:
    """A document as it is, or out of a form, where it is text."""
    try:
        # Not by orjson, which rounds long whole numbers without a word.
        return json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError) as error:
        raise PydanticCustomError("no_json", "it is no JSON: {why}", {"why": str(error)}) from error


def _finite(given: dict[str, Any]) -> dict[str, Any]:
    """A document, if every number in it is one that a message can carry on as JSON."""
    if any(isinstance(value, float) and not math.isfinite(value) for value in _values(given)):
        raise PydanticCustomError("not_finite", "a number in it is NaN or infinite; give a finite one, or leave it out")
    return given


def _values(given: dict[str, Any]) -> Iterator[Any]:
    """What stands in a document, however deep it is nested."""
    pending: list[Any] = [given]
    while pending:
        value = pending.pop()
        if isinstance(value, dict | list):
            pending += value.values() if isinstance(value, dict) else value
        else:
            yield value


def _number(given: Any) -> Any:
    """What is given for a number, if it is neither true nor false, which for pydantic are 1 and 0."""
    if isinstance(given, bool):
        raise PydanticCustomError("no_number", "it should be a number, not true or false")
    return given


class FieldUnclear(errors.InvalidInput):
    """The field {name} cannot be read: {reason}. Correct it, or leave it out."""

    field = "parameters"


class FieldUnknown(errors.InvalidInput):
    """The form has a field {name!r}, which is none of a training's. They are {known}; every other parameter of a
    workload goes into `parameters`, as JSON."""

    field = "parameters"


class WholeNumberTooLarge(errors.InvalidInput):
    """A whole number in the parameters is beyond 9007199254740992 or its negative, where not every one can be carried
    as it is. Give a smaller one, or write it as text if the workload takes that."""

    field = "parameters"


class FileGone(errors.NotFound):
    """The file of the dataset {id} has expired or was deleted, so nothing can be trained on it. Upload it again."""


class NameTaken(errors.AlreadyExists):
    """There is a model {name!r} already, of another project ({project}). Choose another model_name, or train it in that
    project."""


class KeyUsed(errors.AlreadyExists):
    """This Idempotency-Key came with another wish before, of which the job {id} came. Give every job a key of its
    own."""


class Wish(BaseModel):
    """What a caller may ask of a training. Whatever is not given is decided from the data, or by the workload."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), str_strip_whitespace=True)

    task_type: Literal["", "general_ml", "image_classification", "object_detection"] = Field(
        "", description="What to train; goes by the dataset when empty."
    )
    workload: str = Field("", description="Workload by its own name, as GET /api/workloads lists them.")
    target: str = Field("", description="Column to predict; the dataset's own target, or its last column, when empty.")
    target_column: str = Field("", description="Another name for target.")
    problem_type: Literal["", "binary", "multiclass", "regression"] = Field("", description="Detected when empty.")
    parameters: Annotated[dict[str, Any], BeforeValidator(_document), AfterValidator(_finite)] = Field(
        default_factory=dict, description="Parameters of the workload by name; those below are short for some of them."
    )
    engine: str | None = Field(None, description="quick or autogluon.")
    time_limit: Annotated[int | FiniteFloat | None, BeforeValidator(_number)] = Field(
        None, description="Seconds that AutoGluon, or a network, may learn."
    )
    presets: str | list[str] | None = Field(
        None, description="AutoGluon's presets, for example medium_quality, or a list of them."
    )
    seed: Annotated[int | None, BeforeValidator(_number)] = Field(
        None, description="Seed of the split and of the training."
    )
    test_fraction: Annotated[float | None, BeforeValidator(_number)] = Field(
        None, allow_inf_nan=False, description="Share of the rows to hold out."
    )
    eval_metric: str | None = Field(None, description="Metric by which models are compared.")
    model_name: str = Field(
        "",
        max_length=MOST_NAME,
        pattern=NO_CONTROLS,
        description="Name of the model; a repeat adds a version to it, within the model's project alone.",
    )
    project_id: str = Field("", description="Project the model belongs to.")

    @property
    def asked(self) -> dict[str, Any]:
        """Parameters for the workload, those given by their own field before the others."""
        return self.parameters | self.model_dump(include=set(SHORT), exclude_none=True)

    def workload_for(self, dataset: Dataset) -> str:
        """The workload that was asked for, or the one that datasets of this kind are for."""
        return self.workload or TASKS[self.task_type or TASK_OF.get(dataset.kind, GENERAL)]


async def submit_file(peers: Peers, user: str, incoming: Incoming, repeat_key: str) -> Job:
    """Take a file in and queue a training on it. If the training cannot be had, the file is not kept either."""
    async with AsyncExitStack() as undo:
        dataset, is_new = await take_in(peers, user, incoming, repeat_key)
        artifact = await artifact_of(peers, dataset)
        if is_new:
            undo.push_async_callback(let_go, peers, dataset, artifact)
        if incoming.unknown:
            raise FieldUnknown(name=incoming.unknown[0], known=", ".join(FIELDS))
        job = await submit(peers, dataset, _wish_of(incoming.fields), repeat_key)
        undo.pop_all()
    return job


def _wish_of(fields: dict[str, str]) -> Wish:
    """A wish out of a form, where all is text."""
    try:
        return Wish.model_validate({name: value for name, value in fields.items() if name in Wish.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        raise FieldUnclear(name=first["loc"][0], reason=first["msg"]) from error


async def submit(peers: Peers, dataset: Dataset, wish: Wish, repeat_key: str) -> Job:
    """Queue a training on a dataset, once the training service has found nothing against it."""
    check_exact(wish.asked)
    project_id = wish.project_id or dataset.project_id
    await check_project(peers, dataset.user_id, project_id)
    artifact = await artifact_of(peers, dataset)
    if artifact.state == ARTIFACT_STATE_DELETED:
        raise FileGone(id=dataset.id)
    job_id = id_for(dataset.user_id, "job", repeat_key)
    request = TrainRequest(
        training_id=job_id,
        workload=wish.workload_for(dataset),
        dataset=source_of(dataset, artifact),
        target=wish.target or wish.target_column or dataset.target_column,
        problem_type=ProblemType.Value(f"PROBLEM_TYPE_{(wish.problem_type or 'unspecified').upper()}"),
        parameters=as_struct(wish.asked),
        float_parameters=pointers_to_floats(wish.asked),
        model_name=wish.model_name,
    )
    plan = await peers.training.CheckTraining(request, **peers.within(SCAN_SECONDS))
    settle(request, plan, dataset)
    if project_id:
        request.model_name = await _name_within(peers, project_id, request.model_name, dataset.user_id, wish.model_name)
    job = Job(id=job_id, user_id=dataset.user_id, kind=training.KIND, input=as_struct(_input(request, dataset, wish)))
    created = await peers.jobs.CreateJob(CreateJobRequest(job=job, request_id=job_id), **peers.quick)
    if created.input != job.input:
        raise KeyUsed(id=created.id)
    return created


def check_exact(parameters: dict[str, Any]) -> None:
    """Fails with WholeNumberTooLarge where a number would be another one after its way to the workload."""
    if any(isinstance(value, int) and abs(value) > LARGEST_WHOLE for value in _values(parameters)):
        raise WholeNumberTooLarge


def settle(request: TrainRequest, plan: CheckTrainingResponse, dataset: Dataset) -> None:
    """Write what the check found into the request, so that the job trains what was checked."""
    request.target = plan.target
    request.problem_type = plan.problem_type
    # Without what would part a path: a model can be asked by its name.
    request.model_name = request.model_name or f"{dataset.name}-{plan.target}".replace("/", "-")[:MOST_NAME]


async def _name_within(peers: Peers, project_id: str, name: str, user: str, given: str) -> str:
    """A name for a model of a project: its versions take no other project's place. Where another one's has the name,
    and nobody asked for it, the project's own is put behind it. Fails with NameTaken."""
    belongs_to = await _project_of_model(peers, user, name)
    if belongs_to not in ("", project_id) and not given:
        project = await project_of(peers, user, project_id)
        name = f"{name[: MOST_NAME // 2]} ({project.name})".replace("/", "-")[:MOST_NAME]
        belongs_to = await _project_of_model(peers, user, name)
    if belongs_to not in ("", project_id):
        raise NameTaken(name=name, project=belongs_to)
    return name


async def _project_of_model(peers: Peers, user: str, name: str) -> str:
    """The project of a user's model of that name; none where there is no such model, or it is in none."""
    page = await peers.models.ListModels(ListModelsRequest(user_id=user, name=name, page_size=1), **peers.quick)
    return page.models[0].project_id if page.models else ""


def _input(request: TrainRequest, dataset: Dataset, wish: Wish) -> dict[str, Any]:
    return {
        "dataset_id": dataset.id,
        "project_id": wish.project_id or dataset.project_id,
        "model_name": request.model_name,
        "file_name": "model.zip",
        "parameters": MessageToDict(request.parameters),
        "request": MessageToDict(request, preserving_proto_field_name=True),
    }


async def artifact_of(peers: Peers, dataset: Dataset) -> Artifact:
    """The artifact that names a dataset's bytes."""
    return await peers.artifacts.GetArtifact(GetArtifactRequest(id=dataset.artifact_id), **peers.quick)
