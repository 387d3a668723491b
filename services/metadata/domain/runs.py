"""Runs: how they go from one status to the next, and what is added to them as they go."""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from typing_extensions import override

from services.metadata.domain.checks import check
from services.metadata.domain.entities import NAME, RUN_ENDED, ExperimentRun, ModelVersion, Run, RunStatus
from services.metadata.domain.errors import (
    FieldMalformed,
    FieldMissing,
    HyperparameterFixed,
    ReferenceMissing,
    RunCannotBecome,
)
from services.metadata.domain.ports import Store, Transaction, Values
from services.metadata.domain.records import Also, Clock, Records, get_from, new_record, save, utc_now

LEADS_TO = {
    RunStatus.QUEUED: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.CANCELLED}),
    RunStatus.RUNNING: RUN_ENDED,
    **dict.fromkeys(RUN_ENDED, frozenset({RunStatus.RUNNING})),
}


class Runs(Records[Run]):
    """All runs."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(Run, store, now)

    @override
    async def create(self, given: Run, request_id: str, also: Also | None = None) -> Run:
        """Add a run; one that names an experiment becomes part of it in the same transaction."""
        await self._check_base(given.base_version_id)
        named = replace(given, id=given.id or uuid.uuid4().hex)

        async def join(transaction: Transaction) -> None:
            if named.experiment_id:
                link = ExperimentRun(experiment_id=named.experiment_id, run_id=named.id)
                await transaction.insert(new_record(link, None, self._now()))
            if also:
                await also(transaction)

        return await super().create(named, request_id, join)

    async def _check_base(self, version_id: str) -> None:
        if version_id and await self._store.get(ModelVersion, version_id) is None:
            raise ReferenceMissing(field="base_version_id", label="model version", id=version_id)

    @override
    def changed(self, current: Run, values: Values) -> Run:
        """An update, if its status leads to the new one; with the times that belong to that."""
        after = replace(current, **values)
        if after.status is current.status:
            return after
        if after.status not in LEADS_TO[current.status]:
            choices = ", ".join(sorted(LEADS_TO[current.status]))
            raise RunCannotBecome(id=current.id, status=current.status, wanted=after.status, choices=choices)
        if after.status in RUN_ENDED:
            return replace(after, end_time=after.end_time or self._now())
        return replace(after, start_time=after.start_time or self._now(), end_time=values.get("end_time"))

    async def log_hyperparameters(self, run_id: str, given: dict[str, Any], fixed: bool) -> Run:
        """Add hyperparameters; when they are to be fixed, none may have another value already."""
        if not given:
            raise FieldMissing("hyperparameters")
        return await self._merge(run_id, "hyperparameters", given, fixed=fixed)

    async def tag(self, run_id: str, given: dict[str, Any], removed: Collection[str]) -> Run:
        """Set tags, and remove others."""
        return await self._merge(run_id, "tags", given, removed)

    async def _merge(
        self, run_id: str, name: str, given: dict[str, Any], removed: Collection[str] = (), fixed: bool = False
    ) -> Run:
        _check_names(name, given)
        check(_with(Run(), name, given), (name,))

        async def unit(transaction: Transaction) -> Run:
            run = await get_from(transaction, Run, run_id)
            held: dict[str, Any] = getattr(run, name) or {}
            if fixed:
                _check_unchanged(run_id, held, given)
            merged = {each: value for each, value in (held | given).items() if each not in removed}
            if merged == held:
                return run
            return await save(transaction, run, _with(run, name, merged), self._now())

        return await self._store.write(unit)


def _with(run: Run, name: str, document: dict[str, Any]) -> Run:
    values: dict[str, Any] = {name: document}
    return replace(run, **values)


def _check_names(field: str, names: Iterable[str]) -> None:
    for name in names:
        if not 1 <= len(name) <= NAME:
            raise FieldMalformed(
                field, problem=f"one with a name of {len(name)} characters", advice=f"Names have 1 to {NAME}"
            )


def _check_unchanged(run_id: str, held: dict[str, Any], given: dict[str, Any]) -> None:
    for name, value in given.items():
        if name in held and held[name] != value:
            raise HyperparameterFixed(id=run_id, name=name)
