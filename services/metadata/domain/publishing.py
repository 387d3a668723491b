"""Publishes a trained model: artifact, run, metrics, model, version and project, all in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.metadata.domain.artifacts import Written, activate
from services.metadata.domain.checks import check
from services.metadata.domain.entities import Dataset, Metric, Model, ModelVersion, Project, Run, RunStatus
from services.metadata.domain.errors import FieldMissing, FieldsDisagree, RecordExists, ReferenceMissing
from services.metadata.domain.metrics import check_metrics
from services.metadata.domain.ports import BrokenReference, Duplicate, Query, Store, Transaction
from services.metadata.domain.records import Clock, get_from, name_missing, new_record, save, utc_now

RECORDED = ("engine", "hyperparameters", "start_time", "end_time")


@dataclass(frozen=True)
class Publication:
    """All that a finished training leaves to record."""

    version: ModelVersion
    model_id: str
    """Of the model if it is to be made; may be empty."""
    model_name: str
    user_id: str
    project_id: str | None
    artifact: Written
    run: Run
    metrics: Sequence[Metric]


@dataclass(frozen=True)
class Published:
    """What was recorded."""

    model: Model
    version: ModelVersion


class Publishing:
    """Publishes model versions."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self.now = now

    async def publish(self, given: Publication) -> Published:
        """Record all of it or nothing; a repeat for the same version returns what the first recorded."""
        publication = _consistent(given)

        async def unit(transaction: Transaction) -> Published:
            return await _earlier(transaction, publication) or await _publish(transaction, publication, self.now())

        try:
            return await self._store.write(unit)
        except BrokenReference as broken:
            await name_missing(self._store, publication.version)
            raise broken from None
        except Duplicate as duplicate:
            raise RecordExists(label="model version", **duplicate.facts) from duplicate


def _consistent(given: Publication) -> Publication:
    """The publication with the version's references filled in; an InvalidInput when they contradict."""
    version = given.version
    if not version.id:
        raise FieldMissing("version.id")
    for name, expected in (("artifact_id", given.artifact.id), ("run_id", given.run.id)):
        if not expected:
            raise FieldMissing(f"{name.removesuffix('_id')}.id")
        if (getattr(version, name) or expected) != expected:
            raise FieldsDisagree(f"version.{name}", given=getattr(version, name), expected=expected)
    check_metrics(given.metrics)
    check(given.run, RECORDED)
    return replace(given, version=replace(version, artifact_id=given.artifact.id, run_id=given.run.id))


async def _earlier(transaction: Transaction, publication: Publication) -> Published | None:
    version = await transaction.get(ModelVersion, publication.version.id)
    if version is None:
        return None
    return Published(await get_from(transaction, Model, version.model_id), version)


async def _publish(transaction: Transaction, publication: Publication, now: datetime) -> Published:
    await activate(transaction, publication.artifact, now)
    await _complete_run(transaction, publication.run, now)
    await transaction.put_metrics(publication.metrics)
    await _complete_project(transaction, publication, now)
    model = await _model(transaction, publication, now)
    fresh = new_record(await _without_lost_dataset(transaction, publication.version), None, now)
    version = replace(fresh, model_id=model.id, version=model.latest_version + 1)
    await transaction.insert(version)
    newest = replace(model, latest_version=version.version, project_id=model.project_id or publication.project_id)
    return Published(await save(transaction, model, newest, now), version)


async def _without_lost_dataset(transaction: Transaction, version: ModelVersion) -> ModelVersion:
    """The version, which stays though its dataset was deleted while it was trained."""
    if version.dataset_id and await transaction.get(Dataset, version.dataset_id) is None:
        return replace(version, dataset_id=None)
    return version


async def _complete_run(transaction: Transaction, given: Run, now: datetime) -> None:
    run = await get_from(transaction, Run, given.id)
    values = {name: getattr(given, name) or getattr(run, name) for name in RECORDED}
    await save(transaction, run, replace(run, status=RunStatus.COMPLETED, **values), now)


async def _complete_project(transaction: Transaction, publication: Publication, now: datetime) -> None:
    project_id = publication.project_id
    if not project_id:
        return
    project = await transaction.get(Project, project_id)
    if project is None or project.user_id != publication.user_id:  # another's does not exist for this user
        raise ReferenceMissing(field="project_id", label="project", id=project_id)
    await save(transaction, project, replace(project, status="completed"), now)  # its time of change moves each time


async def _model(transaction: Transaction, publication: Publication, now: datetime) -> Model:
    """The user's model of that name, made now when there is none."""
    user_id, name = publication.user_id, publication.model_name
    if found := await transaction.find(Model, Query({"user_id": user_id, "name": name})):
        return found[0]
    given = publication.model_id
    free = given if given and await transaction.get(Model, given) is None else ""
    model = new_record(Model(id=free, user_id=user_id, name=name, project_id=publication.project_id), None, now)
    await transaction.insert(model)
    return model
