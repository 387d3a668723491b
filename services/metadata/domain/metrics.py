"""Metrics: many small numbers, written in bulk."""

import math
from collections.abc import Sequence
from operator import attrgetter

from services.metadata.domain import sampling
from services.metadata.domain.checks import check
from services.metadata.domain.entities import Metric, Run
from services.metadata.domain.errors import FieldMissing, MetricNotANumber, RecordNotFound, TooManyMetrics
from services.metadata.domain.paging import Page, PageRequest, Sizes, find_page
from services.metadata.domain.ports import BrokenReference, Store, Transaction
from services.metadata.domain.records import Clock, get_from, utc_now

MOST_IN_A_BATCH = 10_000
SIZES = Sizes(usual=1000, most=10_000)


class Metrics:
    """The metrics of all runs."""

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self.now = now

    async def log(self, run_id: str, metrics: Sequence[Metric]) -> int:
        """Add metrics to a run, each in place of one of the same name, split and step; how many were given."""
        check_metrics(metrics)
        if not run_id:
            raise FieldMissing("run_id")
        if not metrics:
            await get_from(self._store, Run, run_id)
            return 0

        async def unit(transaction: Transaction) -> None:
            await transaction.put_metrics(metrics)

        try:
            await self._store.write(unit)
        except BrokenReference:
            raise RecordNotFound(label="run", id=run_id) from None
        return len(metrics)

    async def page(self, run_id: str, name: str, size: int, token: str) -> Page[Metric]:
        """One page of a run's metrics, of all names or one."""
        await get_from(self._store, Run, run_id)
        where = {"run_id": run_id, "name": name} if name else {"run_id": run_id}
        return await find_page(self._store, Metric, PageRequest(where, size=size, token=token), SIZES)

    async def sample(
        self, run_ids: Sequence[str], names: Sequence[str], split: str, max_points: int
    ) -> list[sampling.Sampled]:
        """The series of runs in a few points each; all names and splits where none are given."""
        return await sampling.sample(self._store, run_ids, names, split, max_points)


def check_metrics(metrics: Sequence[Metric]) -> None:
    """Raise an InvalidInput for a batch that is too large, or holds an impossible metric."""
    if len(metrics) > MOST_IN_A_BATCH:
        raise TooManyMetrics(count=len(metrics), limit=MOST_IN_A_BATCH)
    for metric in metrics:
        if math.isnan(metric.value):
            raise MetricNotANumber(name=metric.name, step=metric.step)
    series = {(metric.name, metric.split): metric for metric in metrics}
    for metric in series.values():  # far fewer than metrics
        check(metric, ("name", "split"))
    if metrics:
        check(min(metrics, key=attrgetter("step")), ("step",))
        check(min(metrics, key=attrgetter("measure_time")), ("measure_time",))
